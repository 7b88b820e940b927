"""What a file of answers comes to: entries, and the reasons why it comes to none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

Segment = Sequence[str]


class NotUsable(ValueError):
    """The file gives nothing. `torn`: it may still be on its way, for it has no end yet."""

    def __init__(self, reason: str, torn: bool = False) -> None:
        super().__init__(reason)
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer about one claim. Without `control` it answers everything in our interchange `interchange`.

    Attributes:
        place: ST02 of the transaction in our interchange that alone is answered; None answers all of them.
        named: claims that a verdict on a whole interchange names; they count alone where it is not that interchange's.
        payer: who made the payment (TRN03) of an 835 entry.
        reference: transfer, claim and status of an 835 entry: the same whichever file brings it again.
        on: the day the payer gives an 835 entry.
    """

    type: str
    control: str | None
    interchange: int | None
    data: dict[str, Any]
    named: tuple[str, ...] = ()
    place: int | None = None
    payer: str = ""
    reference: str = ""
    on: date | None = None


def at(segment: Segment, index: int) -> str:
    """An element; empty where the segment ends before it."""
    return segment[index] if len(segment) > index else ""


def split(segments: Sequence[Segment], tag: str) -> list[list[Segment]]:
    """The parts that begin with the tag; what stands before the first is left out."""
    parts: list[list[Segment]] = []
    for segment in segments:
        if segment[0] == tag:
            parts.append([])
        if parts:
            parts[-1].append(segment)
    return parts
