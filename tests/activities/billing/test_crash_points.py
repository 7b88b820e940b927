"""A worker that dies at any step of writing a claim file: the next one finishes, and the file goes out once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from store import outbox, outbox_index
from store.engine import Database
from store.outbox_index import OutboxIndex
from store.sending import unsettled
from store.tables import Transmission
from tests.kit.claims import LATER, encounter_of, files, send, sent
from tests.kit.recorder import Recorder, recorder

STEPS = frozenset({"open", "write", "fsync", "ftruncate", "rename", "close"})


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class DyingOs:
    """The module `os` whose nth step does not return: before its effect, or after."""

    def __init__(self, dies_at: int, after: bool) -> None:
        self.left, self.after, self.dead = dies_at, after, False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(real) if name in STEPS else real

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            if self.dead:
                return real(*given, **named)  # a descriptor that a dead process closes anyway
            self.left -= 1
            if self.left:
                return real(*given, **named)
            self.dead = True
            if self.after:
                real(*given, **named)
            raise Killed

        return step


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


def restarted(r: Recorder) -> None:
    r.activities = type(r.activities)(r.service, r.activities.claim_life.outbox)


def forget_sending(db: Database) -> None:
    """The claim as before: not sent."""
    with db.write() as session:
        for row in session.exec(select(Transmission)):
            row.written_at = row.file_digest = None
            session.add(row)


async def test_at_every_step_the_file_goes_out_once(r: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    encounter = await encounter_of(r)
    send(r, encounter, "A")
    clean = r.activities.claim_life.outbox / "index.jsonl"
    before, first = clean.read_text(), files(r)[0]
    kept = first.read_bytes()
    steps = tried = 0
    finished = False
    while not finished:
        steps += 1
        for after in (False, True):
            for picked_up in (False, True):
                # The state of an installation whose claim has its number and no file yet.
                for path in (*files(r), clean):
                    path.unlink()
                clean.write_text(before.splitlines(keepends=True)[0])
                forget_sending(r.service.db)
                restarted(r)
                dying = DyingOs(steps, after)
                with monkeypatch.context() as patched:
                    patched.setattr(outbox_index, "os", dying)
                    patched.setattr(outbox, "os", dying)
                    try:
                        send(r, encounter, "A")
                        finished = True
                    except Killed:
                        pass
                out = []
                if picked_up and first.exists():
                    out.append(first.read_bytes())
                    first.unlink()
                restarted(r)
                assert send(r, encounter, "A", LATER).state == "transmitted"
                out += [path.read_bytes() for path in files(r)]
                assert out == [kept], (steps, after, picked_up)
                index = OutboxIndex(r.activities.claim_life.outbox, r.service.keys)
                index.refresh()
                assert len(index.entries) == 1
                assert index.damaged == []
                assert [row.written_at is not None for row in sent(r)] == [True]
                with r.service.db.read() as session:
                    assert unsettled(session) == []
                tried += 1
    assert steps > 10
    print(f"{tried} crashes at {steps - 1} steps")
