"""What a file of payer responses comes to: entries, what is set apart, departures, and why it comes to none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


class NotUsable(ValueError):
    """The file gives nothing. `torn`: it may still be on its way, for it has no end yet."""

    def __init__(self, reason: str, torn: bool = False) -> None:
        super().__init__(reason)
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Opened:
    """An interchange begins: what follows is its own. `sender` and `number` are ISA06 and ISA13."""

    sender: str
    number: str
    test: bool
    made: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One response to one claim. Without `control` it answers everything in our interchange `interchange`.

    Attributes:
        place: ST02 of the transaction in our interchange that alone is answered; None answers all of them.
        named: claims that a verdict on a whole interchange names; they count alone where it is not that interchange's.
        payer: who made the payment (TRN03) of an 835 entry.
        reference: transfer, claim and status of an 835 entry: the same whichever file brings it again.
        on: the day the payer gives an 835 entry.
        text: of an entry on an interchange, its segments in an envelope of their own, to be kept where it is not one of ours.
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
    text: str = ""


@dataclass(frozen=True, slots=True)
class Apart:
    """What cannot be read though the rest of its file can: a claim, or a verdict on an interchange.

    `text` is its segments in an envelope of their own, with the separators they came with.
    """

    reason: str
    text: str
    control: str | None = None
    interchange: int | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the file departs from the standard or its guide, though it can be read; `kind` is counted."""

    kind: str
    words: str


Item = Opened | Entry | Apart | Departure
