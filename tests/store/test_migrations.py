"""Migrations and tables agree, on both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Integer, LargeBinary, MetaData, Numeric, text
from sqlmodel import SQLModel, col, func, select

from app.cli.verify import chains_of
from domain.custody.ledger import GENESIS, check_ledger
from store import tables
from store.alerts import unreported
from store.engine import MIGRATIONS, Database
from store.tables import AlertRecord, CustodyIndex, CustodyRecord, Inbox
from tests.kit import events as e
from tests.kit.databases import empty_url


def test_the_migrations_build_exactly_the_tables_of_the_models(db: Database) -> None:
    assert tables.Inbox.__tablename__ == "inbox"
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_again_changes_nothing(db: Database) -> None:
    db.migrate()
    with db.engine.connect() as connection:
        newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
        assert MigrationContext.configure(connection).get_current_revision() == newest


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    """A database without a schema."""
    made = Database(empty_url(tmp_path / "old.db"))
    yield made
    made.close()


def to(db: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def fill(db: Database, known: set[str]) -> set[str]:
    """Two rows in every table that is not known yet, in the shape of the schema as it is; returns all tables."""
    schema = MetaData()
    schema.reflect(db.engine)
    with db.engine.begin() as connection:
        for table in schema.sorted_tables:
            if table.name in known or table.name == "alembic_version":
                continue
            if table.name == "custody_records":
                rows = [link for encounter in ("v1", "v2") for link in links(encounter)]
            else:
                rows = [{column.name: value(column, number) for column in table.columns} for number in (1, 2)]
            connection.execute(table.insert(), rows)
    return set(schema.tables)


def value(column: Column[Any], number: int) -> Any:
    if isinstance(column.type, DateTime):
        return e.NOW if column.type.timezone else e.NOW.replace(tzinfo=None)
    kinds: list[tuple[type, Any]] = [
        (Date, e.NOW.date()),
        (Boolean, False),
        (JSON, {}),
        (LargeBinary, b"sealed"),
        (Numeric, number),
        (Integer, number),
    ]
    return next((given for kind, given in kinds if isinstance(column.type, kind)), f"v{number}")


def links(encounter: str) -> list[dict[str, Any]]:
    """A chain as the first schema hashed it; the second one was forged then."""
    made, previous = [], GENESIS
    for position, content in enumerate(('{"step":"collected"}', '{"step":"packed"}'), start=1):
        said = json.dumps([previous, position, f"k{position}", content])
        hashed = sha256(said.encode()).hexdigest() if encounter == "v1" else f"forged{position}"
        made.append(
            {
                "encounter_id": encounter,
                "position": position,
                "key": f"k{position}",
                "kind": "record",
                "occurred": e.ANCHOR,
                "content": content,
                "previous_hash": previous,
                "hash": hashed,
                "recorded_at": e.NOW,
            }
        )
        previous = hashed
    return made


def test_an_installation_of_the_first_schema_migrates_to_the_newest_without_loss(empty: Database) -> None:
    to(empty, "0001")
    known = fill(empty, set())
    to(empty, "0004")
    known = fill(empty, known)
    before = rows(empty, known)
    empty.migrate()
    after = rows(empty, known)
    for name, kept in before.items():
        hashed = {"hash", "previous_hash"} if name == "custody_records" else set()
        assert [{key: row[key] for key in old.keys() - hashed} for row, old in zip(after[name], kept, strict=True)] == [
            {key: old[key] for key in old.keys() - hashed} for old in kept
        ], name
    with empty.read() as session:
        for model in SQLModel.__subclasses__():
            if model.__module__.startswith(tables.__name__):
                session.exec(select(model)).all()
        chains = chains_of(
            session.exec(select(CustodyRecord).order_by(CustodyRecord.encounter_id, col(CustodyRecord.position)))
        )
        index = session.exec(select(CustodyIndex)).all()
        broken = [one.encounter_id for one in check_ledger(chains, index)]
    assert broken == ["v2"], "a chain from before the index holds, and one that was forged before it does not"


def rows(db: Database, names: set[str]) -> dict[str, list[dict[str, Any]]]:
    schema = MetaData()
    schema.reflect(db.engine)
    found = {}
    with db.engine.connect() as connection:
        for name in sorted(names - {"alembic_version"}):
            table = schema.tables[name]
            query = table.select().order_by(*table.primary_key)
            found[name] = [dict(row) for row in connection.execute(query).mappings()]
    return found


def test_queries_of_decisions_and_escalation_use_an_index(db: Database) -> None:
    holders = select(Inbox).where(col(Inbox.holder_event).is_(True)).order_by(Inbox.event_id)
    alerts = select(func.count(), func.max(AlertRecord.alert_id)).where(unreported())  # type: ignore[arg-type]
    last = select(func.max(Inbox.received_at)).where(Inbox.feed == "scheduling")
    with db.engine.connect() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            connection.execute(text("SET enable_seqscan = off"))
        for query, index in (
            (holders, "ix_inbox_holders"),
            (alerts, "ix_alerts_untold"),
            (last, "ix_inbox_feed_received_at"),
        ):
            said = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = connection.execute(text(f"EXPLAIN {'' if postgres else 'QUERY PLAN'} {said}"))
            assert index in str(plan.all())
