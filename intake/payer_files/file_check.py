"""The checker: a file of payer responses in, what each response would become out. Nothing is stored.

Which claims are known is not asked: a response to a claim of another system is passed over when it is received.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from domain.billing.x12.acknowledgements import RECEIPTS
from domain.billing.x12.entries import Apart, Departure, Entry, NotUsable
from intake.payer_files.reading import Payload, read_apart


@dataclass(frozen=True, slots=True)
class Finding:
    """What one response of a file would become. `outcome` is an event type, or a word: refused, quarantined."""

    number: int
    kind: str
    outcome: str
    detail: str = ""
    departures: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """True where it would be refused or need work."""
        return self.outcome in ("refused", "quarantined")


def check(file: Path, zone: tzinfo) -> Iterator[Finding]:
    """What each response of a file would become; the departures of the whole file are named with the first.

    Args:
        zone: of the times in the file, which carry none.

    Raises:
        OSError: the file cannot be read.
    """
    found: list[Entry | Apart] = []
    departures: list[str] = []
    try:
        for item in read_apart(Payload.of(file), zone):
            if isinstance(item, Departure):
                departures.append(item.kind)
            elif isinstance(item, Entry | Apart):
                found.append(item)
    except NotUsable as error:
        yield Finding(1, "X12", "refused", str(error), _once(departures))
        return
    if not found:
        yield Finding(1, "X12", "filed", "it states nothing about a claim", _once(departures))
    for number, one in enumerate(found, start=1):
        shown = _once(departures) if number == 1 else ()
        if isinstance(one, Apart):
            yield Finding(number, "response", "quarantined", one.reason, shown)
        else:
            yield Finding(number, str(one.data.get("kind", "835")), one.type, _detail(one), shown)


def _detail(entry: Entry) -> str:
    """Accepted or rejected, by the codes of the response; no number and no name."""
    if "accepted" not in entry.data:
        return ""
    codes = ", ".join(entry.data.get("status_codes", ()))
    categories = {code[:2] for code in entry.data.get("status_codes", ())}
    received = bool(categories) and categories <= RECEIPTS
    verdict = "received" if received else "accepted" if entry.data["accepted"] else "rejected"
    return f"{verdict} ({codes})" if codes else verdict


def _once(kinds: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kinds))
