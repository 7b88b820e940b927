"""Alembic environment: the store passes its open connection, so that one transaction migrates everything."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import text
from sqlmodel import AutoString, SQLModel

from store import tables

MIGRATION_LOCK = 0x43415254


def render(kind: str, value: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write revisions in plain SQLAlchemy types, so that a revision does not change with the models."""
    if kind == "type" and isinstance(value, tables.UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(value, AutoString):
        return "sa.String()"
    return False


def run() -> None:
    """Apply the revisions on the connection that `Database.migrate` opened."""
    connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        # Several processes may start at once. On SQLite the write lock already separates them.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
