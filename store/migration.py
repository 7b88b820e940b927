"""Migrates the schema; on PostgreSQL without blocking for long what runs meanwhile, and without waiting without end.

A migration that waits for a table also makes everything behind it wait. It therefore gives up soon, lets the others pass,
and tries again.

Alembic is imported where it is used: a query of the command line knows the database, and migrates nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from store.limits import Connection as Driver
from store.limits import Limits

MIGRATIONS = Path(__file__).resolve().parents[1] / "deploy" / "migrations"
LIMITS: Final = Limits(application="cart-encounter migrate", connect=10.0, lock=5.0, statement=3600.0, idle=60.0)
"""A statement may rebuild a large table; a lock is waited for shortly, and again."""
TRY_SECONDS = 300.0
"""How long a migration is tried again while something holds a lock."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
LOOK_SECONDS = 0.5
SILENT_SECONDS = 30.0
"""A server that answers no second connection for so long is given up, however long the statement may take."""
ONLINE: Final = (
    ("audit", "sealed_in"),
    ("transmissions", "sealed_in"),
    ("inbox", "sealed_in"),
    ("alerts", "sealed_in"),
    ("alerts", "end_sealed_in"),
    ("inbox", "content_sealed_in"),
    ("alerts", "acknowledgment_sealed_in"),
)
"""Indexes of tables that may be large when they are made: on PostgreSQL after the revisions, while others write."""
ONLINE_LOCK = 0x43415235
HELD = frozenset({"55P03", "40P01"})
"""SQLSTATE of a lock that was not free in time, and of a deadlock."""


class SchemaBusy(RuntimeError):
    """The schema cannot be changed now; the message is one line with what holds it and the fix."""


def migrate(engine: Engine, report: Callable[[str], None], try_seconds: float = TRY_SECONDS) -> None:
    """Bring the schema to the newest revision, in one transaction; then make the indexes that are made online.

    Args:
        report: is given one line at each wait for a lock.

    Raises:
        SchemaBusy: something held a lock for the whole time.
    """
    if engine.dialect.name != "postgresql":
        with engine.begin() as connection:
            _upgrade(connection)
        return
    _tried(engine, _revisions, report, try_seconds)
    _tried(engine, _indexes, report, try_seconds)


def _revisions(engine: Engine, watch: _Watch) -> None:
    with engine.begin() as connection, watch.over(connection):
        _upgrade(connection)


def _indexes(engine: Engine, watch: _Watch) -> None:
    """Make what is missing of `ONLINE`; an index that an interrupted run left half-made is made again."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection, watch.over(connection):
        if all(_is_made(connection, *one) for one in ONLINE):
            return
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": ONLINE_LOCK})
        try:
            for table, column in ONLINE:
                if _is_made(connection, table, column):
                    continue
                name = f"ix_{table}_{column}"
                connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
                connection.execute(text(f"CREATE INDEX CONCURRENTLY {name} ON {table} ({column})"))
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": ONLINE_LOCK})


def _is_made(connection: Connection, table: str, column: str) -> bool:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
    return bool(connection.execute(text(query), {"name": f"ix_{table}_{column}"}).scalar())


def _tried(
    engine: Engine, change: Callable[[Engine, _Watch], None], report: Callable[[str], None], try_seconds: float
) -> None:
    give_up, pause = time.monotonic() + try_seconds, FIRST_PAUSE
    while True:
        watch = _Watch(engine)
        try:
            change(engine, watch)
            return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in HELD:
                raise
            holder = watch.holder or "another transaction"
        if time.monotonic() + pause > give_up:
            raise SchemaBusy(
                f"the schema was not changed: {holder} holds a lock that the migration needs; "
                "let it end or end it with pg_terminate_backend(), then run `cart-encounter deploy migrate` again"
            )
        report(f"waiting for a lock held by {holder}; next try in {pause:.0f} s")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def is_current(connection: Connection) -> bool:
    """True when the schema has the newest revision that this release knows, or a later one."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    found = MigrationContext.configure(connection).get_current_heads()
    known = {one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    newest = set(ScriptDirectory(str(MIGRATIONS)).get_heads())
    return bool(found) and (newest <= set(found) or not set(found) <= known)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


class _Watch:
    """Looks from a second connection, while a migration runs: what it waits for, and whether the server still answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._over = engine, threading.Event()
        self.holder = ""

    @contextlib.contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        driver = connection.connection.driver_connection
        assert isinstance(driver, Driver)
        thread = threading.Thread(target=self._look, args=(driver, driver.info.backend_pid), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self, driver: Driver, process: int) -> None:
        answered = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            try:
                with self._engine.connect() as other:
                    self.holder = _holder(other, process) or self.holder
                answered = time.monotonic()
            except SQLAlchemyError:
                if time.monotonic() - answered > SILENT_SECONDS:
                    driver.given_up = True


def _holder(connection: Connection, process: int) -> str:
    """The first process that another waits for: never its statement, which may name a person."""
    found = connection.execute(
        text(
            "SELECT pid, application_name, state, coalesce(host(client_addr), 'this machine'), "
            "round(extract(epoch FROM clock_timestamp() - xact_start)) "
            "FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(:process)) ORDER BY xact_start LIMIT 1"
        ),
        {"process": process},
    ).first()
    if found is None:
        return ""
    pid, application, state, address, seconds = found
    since = f" for {seconds:.0f} s" if seconds is not None else ""
    return f"process {pid} ({application or 'no name'}, {state or 'running'}{since}, from {address})"
