"""What a form asks beyond the catalogue: no past that lies ahead, no validity that is over, a whole hand-over.

An event of a system is taken as it comes, and the gates judge it. A person at a form can still look again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.board.fields import FieldError
from app.board.form import Form
from app.board.names import Names

CLOCKS: Final = timedelta(minutes=10)
"""How far the clock of the person's desk may run ahead of ours."""


def of_time(form: Form, data: Mapping[str, Any], now: datetime, zone: str) -> Iterator[FieldError]:
    """Moments and days that cannot be: documented but still to come, or valid until a time that has passed."""
    for path in form.past:
        if _ahead(data.get(path), now, zone):
            yield FieldError(path, "this lies in the future; give the day and time of what has happened")
    for path in form.ahead:
        moment = _moment(data.get(path))
        if moment is not None and moment <= now:
            yield FieldError(path, "this has passed already; give a time that is still to come")


def _ahead(value: Any, now: datetime, zone: str) -> bool:
    moment = _moment(value)
    if moment is not None:
        return moment > now + CLOCKS
    try:
        return isinstance(value, str) and date.fromisoformat(value) > (now + CLOCKS).astimezone(ZoneInfo(zone)).date()
    except ValueError:
        return False


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def of_persons(data: Mapping[str, Any]) -> Iterator[FieldError]:
    """The second person is another one."""
    second = str(data.get("second_verifier", "")).strip()
    if second and second.casefold() == str(data.get("by", "")).strip().casefold():
        yield FieldError("second_verifier", "this is the first person again; the second verifier is somebody else")


def of_corrector(original: Mapping[str, Any], who: str) -> Iterator[FieldError]:
    """A hand-over that holds the cells is not talked away by the one who recorded it."""
    if who.strip() and who.strip().casefold() == str(original.get("by", "")).strip().casefold():
        yield FieldError("who", "a hand-over is corrected by somebody else than who recorded it")


def of_step(data: Mapping[str, Any], names: Names) -> Iterator[FieldError]:
    """What the rulebook wants with this hand-over and is not filled in."""
    row = names.hand_over(str(data.get("step", "")))
    if row is None:
        return
    for path in row.requires:
        if data.get(path) is None:
            yield FieldError(path, f"wanted with this hand-over ({', '.join(row.source)})")
    if row.verifiers > 1 and not data.get("second_verifier"):
        yield FieldError("second_verifier", f"two different people check; name the second ({', '.join(row.source)})")
