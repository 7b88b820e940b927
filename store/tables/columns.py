"""What every table shares: moments in UTC, and the purpose a sealed value is bound to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.types import TypeDecorator


def sealed_for(column: str, row: str) -> str:
    """The purpose a value of that column and row is sealed for."""
    return f"{column}:{row}"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Stored in UTC, returned zoned, on SQLite as on PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
