"""One database, two engines: SQLite in WAL for the embedded stack, PostgreSQL in production."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError
from sqlmodel import Session as Session
from sqlmodel import SQLModel, create_engine

from domain.rulebook import Rulebook
from store.config import packaged_rules
from store.limits import Limits, Reach, allow_long_statements, limited_engine
from store.migration import MIGRATIONS as MIGRATIONS
from store.migration import TRY_SECONDS, is_current, migrate
from store.migration import SchemaBusy as SchemaBusy
from store.step_log import LoggedSession

PATIENCE = 30.0
"""Seconds that a writer waits where another process holds the SQLite file, as a backup tool does."""
WHILE_HELD = 0.25
"""Seconds that each further writer waits, once one waited in vain and until one succeeds: they must not add up."""
RULES = "rules"
UNTIL = "until"

DatabaseError = SQLAlchemyError
"""Any error of reading or writing the database."""

NotStorable = DataError
"""A value does not fit its column."""

StatementFailed = DBAPIError
"""The database refused a statement, or the connection was lost."""

Unreachable = OperationalError
"""The database cannot be reached or opened."""


class Database:
    """Opens sessions on one engine. `write` takes the write lock at its start, so that no transaction fails half-way.

    Args:
        rules: the rulebook with the texts of alerts that a transaction itself opens; it must not fail.
        patience: seconds that a writer waits for a file that another process holds; who serves callers waits less than they do.
        limits: of every wait for a PostgreSQL server.
    """

    def __init__(
        self,
        url: str,
        rules: Callable[[], Rulebook] = packaged_rules,
        patience: float = PATIENCE,
        limits: Limits | None = None,
    ) -> None:
        self.url, self._rules = url, rules
        self._patience, self._held = patience, False
        self._waits = threading.local()
        self.limits = limits or Limits()
        self.engine = _engine(url, lambda: float(getattr(self._waits, "seconds", patience)), self.limits)
        self._reach = Reach() if self.engine.dialect.name == "postgresql" else None
        # SQLite's waiting writers poll and may starve; within a process they queue. PostgreSQL queues by itself.
        self._turn = threading.Lock() if url.startswith("sqlite") else None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end and rolls back on any error; what it committed is logged.

        Raises:
            OperationalError: among others, the file was held by another for as long as a writer waits.
        """
        with self._in_turn(), LoggedSession(self.engine, expire_on_commit=False) as session, session.begin():
            session.info[RULES] = self._rules
            session.info[UNTIL] = time.monotonic() + self.limits.lock
            self._begin(session)
            yield session

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """The turn of a writer, and what is left of its patience for the file."""
        if self._turn is None:
            yield
            return
        deadline = time.monotonic() + (WHILE_HELD if self._held else self._patience)
        if not self._turn.acquire(timeout=deadline - time.monotonic()):
            raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
        try:
            self._waits.seconds = max(0.0, deadline - time.monotonic())
            yield
        finally:
            self._waits.seconds = self._patience
            self._turn.release()

    def _begin(self, session: Session) -> None:
        try:
            with self._attempt():
                session.connection()
        except OperationalError:
            self._held = self._turn is not None
            raise
        self._held = False

    def _attempt(self) -> AbstractContextManager[None]:
        return self._reach.attempt() if self._reach else nullcontext()

    def takes_writes(self, within: float) -> bool:
        """True when the database answers, and a writer would get its turn within so many seconds."""
        try:
            with self.read() as session:
                session.execute(text("SELECT 1 FROM inbox LIMIT 1"))
                if self._reach is not None and not _writer_gets_in(session, within):
                    return False
            if self._turn is not None:
                self._waits.seconds = within
                with self.engine.begin():
                    pass
        except DatabaseError:
            return False
        finally:
            self._waits.seconds = self._patience
        return True

    @contextmanager
    def read(self, *, long: bool = False) -> Iterator[Session]:
        """A transaction for reading; takes no write lock on SQLite.

        Args:
            long: one statement may take longer than a caller waits, as a count over everything does.
        """
        with self._attempt():
            connection = self.engine.connect().execution_options(cart_read_only=True)
        with connection, Session(connection, expire_on_commit=False) as session:
            if long:
                allow_long_statements(connection)
            yield session

    def migrate(self, report: Callable[[str], None] = lambda _: None, try_seconds: float = TRY_SECONDS) -> None:
        """Bring the schema to the newest revision (Alembic).

        Args:
            report: is given one line at each wait for a lock.

        Raises:
            SchemaBusy: on PostgreSQL, something held a lock for the whole time.
        """
        migrate(self.engine, report, try_seconds)

    def answers(self) -> bool:
        """True when the database can be read at all."""
        try:
            with self.read() as session:
                session.execute(text("SELECT 1"))
        except DatabaseError:
            return False
        return True

    def is_current(self) -> bool:
        """True when the database answers and its schema is not older than this release."""
        try:
            with self.read() as session:
                return is_current(session.connection())
        except DatabaseError:
            return False

    def close(self) -> None:
        self.engine.dispose()


def last_rules(session: Session) -> Rulebook:
    """The last rulebook that loaded in the process of a transaction; the packaged one where none is configured."""
    rules: Rulebook = session.info.get(RULES, packaged_rules)()
    return rules


def without_password(url: str) -> str:
    """The address of a database as a log may show it."""
    return make_url(url).render_as_string(hide_password=True)


def place_of(url: str) -> str:
    """The address of a database without user, password and driver."""
    parts = make_url(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.get_backend_name()}://{parts.host or ''}{port}/{parts.database or ''}"


def take_turn(session: Session, lock: int) -> None:
    """One transaction of a kind at a time, until it ends: SQLite has its write lock, PostgreSQL an advisory one.

    Waits for what is left of the transaction's time: what it spent on a free connection counts.
    """
    if session.get_bind().dialect.name == "postgresql":
        if UNTIL not in session.info:
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
            return
        left = max(WHILE_HELD, session.info[UNTIL] - time.monotonic())
        session.execute(
            text("SELECT set_config('lock_timeout', :wait, true), pg_advisory_xact_lock(:lock)"),
            {"lock": lock, "wait": str(round(left * 1000))},
        )


def insert_once(session: Session, table: type[SQLModel], **values: object) -> None:
    """Insert a row unless one of its key is there; where another transaction is inserting it, wait for that one's end."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(table).values(**values).on_conflict_do_nothing())


def _engine(url: str, patience: Callable[[], float], limits: Limits) -> Engine:
    # Parameters stay out of error messages: they end in logs and Temporal failures.
    if not url.startswith("sqlite"):
        return limited_engine(url, limits)
    engine = create_engine(url, connect_args={"timeout": PATIENCE, "check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", lambda connection: _on_begin(connection, patience()))
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    # The driver must not open transactions of its own: a deferred one fails at its first write when another got there.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _on_begin(connection: Connection, patience: float) -> None:
    read_only = connection.get_execution_options().get("cart_read_only", False)
    connection.exec_driver_sql(f"PRAGMA busy_timeout={max(1, round(patience * 1000))}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


INBOX_LOCK = 0x43415231


def _writer_gets_in(session: Session, within: float) -> bool:
    """True when the server is no read-only copy, and no one holds the inbox for long."""
    read_only = session.execute(text("SELECT current_setting('transaction_read_only')")).scalar_one()
    if read_only == "on":
        return False
    session.info[UNTIL] = time.monotonic() + within
    take_turn(session, INBOX_LOCK)
    return True


def serialize(session: Session) -> None:
    """Let one inbox transaction run at a time, so that two events cannot both open an encounter for one subject."""
    take_turn(session, INBOX_LOCK)
