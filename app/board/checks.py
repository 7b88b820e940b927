"""Checks of forms beyond the event catalog: times, two persons, complete transfers.

Events of systems are accepted as sent and checked by the gates. A person at a form can still correct the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.board.fields import FieldError
from app.board.form import Form
from app.board.names import Names
from domain.rulebook.rows import CustodyRule

CLOCKS: Final = timedelta(minutes=10)
"""Allowed difference between the user's clock and the server's."""


def of_time(form: Form, data: Mapping[str, Any], now: datetime, zone: str) -> Iterator[FieldError]:
    """Yields errors for past fields in the future, and future fields in the past."""
    for path in form.past:
        if _ahead(data.get(path), now, zone):
            yield FieldError(path, "this is in the future; enter the date and time when it happened")
    for path in form.ahead:
        moment = _moment(data.get(path))
        if moment is not None and moment <= now:
            yield FieldError(path, "this is in the past; enter a future time")


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
    """Yields an error if the second person is the first one."""
    second = str(data.get("second_verifier", "")).strip()
    if second and second.casefold() == str(data.get("by", "")).strip().casefold():
        yield FieldError("second_verifier", "same as the first person; the second verifier must be another person")


def of_corrector(original: Mapping[str, Any], who: str) -> Iterator[FieldError]:
    """Yields an error if the person who recorded a transfer corrects it."""
    if who.strip() and who.strip().casefold() == str(original.get("by", "")).strip().casefold():
        yield FieldError("who", "another person than the one who recorded the transfer must correct it")


def of_step(data: Mapping[str, Any], names: Names) -> Iterator[FieldError]:
    """Yields the fields that the rulebook requires for this transfer and that are empty."""
    row = names.custody_rule(str(data.get("step", "")))
    if row is None:
        return
    for path in row.requires:
        if data.get(path) is None:
            yield FieldError(path, "required for this transfer" + _source(row))
    if row.verifiers > 1 and not data.get("second_verifier"):
        yield FieldError("second_verifier", "two different persons must check; enter the second" + _source(row))


def _source(row: CustodyRule) -> str:
    return f" ({row.cite})" if row.cite else ""
