"""Calendar days where the care happened: every day of the rulebook is a day of the facility's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def local_day(moment: datetime, zone: tzinfo) -> date:
    """The calendar day of a moment at the place of care."""
    return moment.astimezone(zone).date()


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """The first moment after the day at the place of care, in UTC; also correct where the day has 23 or 25 hours."""
    return datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)


def age_on(birth: date, day: date) -> int:
    """Completed years of life. Born on 29 February, a year is complete on 1 March where February has 28 days."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
