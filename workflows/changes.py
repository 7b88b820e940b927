"""The one registry of changes to the commands of a workflow. No workflow calls `workflow.patched` itself.

A change takes two releases, so that a release can always be taken back. The first only reads: it follows the change in a run
whose history has its mark, and never writes the mark. The next one writes: with it, runs that reach the change follow it. So
the release before can carry on every run. Set `writes` only when the newest released code has the change in its registry or
its source; `tests/house/test_workflow_changes.py` compares, and `tests/replay` replays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from temporalio import workflow


@dataclass(frozen=True, slots=True)
class Change:
    """A change of commands.

    Attributes:
        name: the mark in histories; it never changes.
        reads: the first release that can carry on a run with the mark.
        writes: the first release that writes the mark; None while none does.
        numbered: the mark has a number after it: the change is decided again in each round of a run.
    """

    name: str
    reads: str
    writes: str | None = None
    numbered: bool = False


LIFE_AFTER_EMISSION: Final = Change("life-after-emission", reads="0.1.0", writes="0.1.0", numbered=True)
VOID_ASKED_AGAIN: Final = Change("void-asked-anew", reads="0.1.0", writes="0.1.0")

CHANGES: Final = (LIFE_AFTER_EMISSION, VOID_ASKED_AGAIN)


def follows(change: Change, number: int | None = None) -> bool:
    """Return True if this run follows the change from here on; the answer is the same in every replay.

    A worker of this release (`is_written`) writes the mark of a change that it may write. Of another change it follows the
    marks that the history has, and a run without the mark stays without it until it continues as new.
    """
    return workflow.patched(change.name if number is None else f"{change.name}-{number}")


def is_written(mark: str) -> bool:
    """Return True if this release writes a mark that the history does not have.

    Raises:
        KeyError: no change of the registry has this mark.
    """
    name, _, number = mark.rpartition("-")
    for change in CHANGES:
        if (change.numbered and change.name == name and number.isdigit()) or (
            not change.numbered and change.name == mark
        ):
            return change.writes is not None
    raise KeyError(f"{mark}: not in workflows.changes.CHANGES")
