"""How long a process waits for PostgreSQL: no wait is without end, also where the server or a peer is frozen.

The server ends what it can end itself: statements, waits for locks, transactions whose client went silent. What a silent
server never answers ends here: the driver's waits have a limit of their own, and the connection is closed.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

PING_SECONDS = 1.0
"""For a pooled connection to show that it is alive, before it is used."""
GRACE_SECONDS = 0.5
"""For the server to end a statement itself, before the connection is closed."""
LONG_SECONDS = 30.0
"""For one statement of a reading that is known to be long."""
WITHOUT_LIMIT = 3600.0
"""For a statement where an operator turned the server's limit off."""
CHECK_SECONDS = 2
"""How often a waiting statement's server looks whether its client is still there."""
KEEPALIVES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one process towards PostgreSQL, in seconds. An option in the database's URL takes precedence.

    Attributes:
        application: its name in `pg_stat_activity`.
        connect: for a connection to be made; the driver waits 2 at least.
        lock: for a lock that another transaction holds, and for a free connection of the pool.
        statement: for one statement.
        idle: how long a transaction may do nothing before the server ends its session: its process is frozen.
        network: for sent data to be acknowledged, and for an idle connection's peer to show that it is there.
        connections: at most open at once.
    """

    application: str = "cart-encounter"
    connect: float = 10.0
    lock: float = 30.0
    statement: float = 60.0
    idle: float = 60.0
    network: float = 15.0
    connections: int = 15


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait for the server ends after `limit` seconds; it is then closed."""

    limit: float = PING_SECONDS
    given_up: bool = False
    """Set from another thread that found the server silent."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The driver's own steps; it resumes them at least ten times a second, whether the server sent anything or not."""
        deadline = time.monotonic() + self.limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and (self.given_up or time.monotonic() > deadline):
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the database server is silent; the connection was closed")
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value


class Reach:
    """Whether the server can be reached. While it cannot, one transaction at a time tries; the others fail at once."""

    def __init__(self) -> None:
        self._away, self._trying = False, threading.Lock()

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Around the making of a connection.

        Raises:
            OperationalError: the server cannot be reached, or no connection became free in time.
        """
        if not self._away:
            with self._noted():
                yield
        elif self._trying.acquire(blocking=False):
            try:
                with self._noted():
                    yield
            finally:
                self._trying.release()
        else:
            raise OperationalError("connect", None, psycopg.OperationalError("the database server does not respond"))

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except NoConnectionFree as error:  # the server may be well: only this process is busy
            raise OperationalError("connect", None, error) from None
        except OperationalError:
            self._away = True
            raise
        self._away = False


def limited_engine(url: str, limits: Limits) -> Engine:
    """An engine on PostgreSQL whose connections keep to the limits."""
    engine = create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,
        pool_size=min(5, limits.connections),
        max_overflow=max(0, limits.connections - 5),
        pool_timeout=limits.lock,
        connect_args=_connect_args(url, limits),
    )
    given = _given_in_options(url)

    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        return Connection.connect(*arguments, **options)

    def connected(connection: Connection, record: Any) -> None:
        connection.limit = max(2.0, limits.connect)
        record.info["limit"] = _set_limits(connection, limits, given) + GRACE_SECONDS

    def checked_out(connection: Connection, record: Any, _proxy: Any) -> None:
        connection.limit = record.info["limit"]

    def checked_in(connection: Connection | None, _record: Any) -> None:
        if connection is not None:
            connection.limit = PING_SECONDS

    event.listen(engine, "do_connect", connect)
    # Before the dialect's own first questions, which then have a limit, too.
    event.listen(engine, "connect", connected, insert=True)
    event.listen(engine, "checkout", checked_out)
    event.listen(engine, "checkin", checked_in)
    return engine


def allow_long_statements(connection: Any, seconds: float = LONG_SECONDS) -> None:
    """Raise the limit of the statements of a reading transaction; on PostgreSQL only."""
    driver = connection.connection.driver_connection
    if isinstance(driver, Connection) and driver.limit < seconds + GRACE_SECONDS:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
        driver.limit = seconds + GRACE_SECONDS


def _connect_args(url: str, limits: Limits) -> dict[str, Any]:
    """What libpq can do by itself, where the URL does not say otherwise."""
    step = max(1, round(limits.network / (KEEPALIVES + 1)))
    wanted: dict[str, Any] = {
        "application_name": limits.application,
        "connect_timeout": max(2, round(limits.connect)),
        "keepalives": 1,
        "keepalives_idle": step,
        "keepalives_interval": step,
        "keepalives_count": KEEPALIVES,
        "tcp_user_timeout": round(limits.network * 1000),
    }
    return {name: value for name, value in wanted.items() if name not in make_url(url).query}


OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_-]+)\s*=")


def _given_in_options(url: str) -> frozenset[str]:
    """Server settings that the URL sets by `options`."""
    options = make_url(url).query.get("options", "")
    text = options if isinstance(options, str) else " ".join(options)
    return frozenset(name.replace("-", "_").lower() for name in OPTION.findall(text))


def _set_limits(connection: Connection, limits: Limits, given: frozenset[str]) -> float:
    """Set the server's limits of a session; returns the limit of one statement.

    By statements and not by start-up options, which a connection pooler may refuse.
    """
    version = connection.info.server_version
    wanted = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    if version >= 140000:
        wanted["client_connection_check_interval"] = CHECK_SECONDS
    before, connection.autocommit = connection.autocommit, True
    for name, seconds in wanted.items():
        if name not in given:
            connection.execute("SELECT set_config(%s, %s, false)", (name, str(round(seconds * 1000))))
    found = connection.execute("SELECT setting::float FROM pg_settings WHERE name = 'statement_timeout'").fetchone()
    connection.autocommit = before
    return (float(found[0]) / 1000 if found else 0) or WITHOUT_LIMIT
