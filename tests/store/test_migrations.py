"""The migrations and the tables say the same, on both engines."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from activities.store import tables
from activities.store.engine import Database


def test_the_migrations_build_exactly_the_tables_of_the_models(db: Database) -> None:
    assert tables.Inbox.__tablename__ == "inbox"
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_again_changes_nothing(db: Database) -> None:
    db.migrate()
    with db.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0014"
