"""PostgreSQL that is frozen, silent or held by another: every wait ends, and says what it waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from store.engine import Database, DatabaseError, SchemaBusy, serialize
from store.limits import Limits
from store.migration import LIMITS as MIGRATION
from tests.kit.peers import Proxy, frozen, with_children
from tests.kit.postgres import Outage, postgres_url
from tests.kit.waiting import eventually

pytestmark = pytest.mark.postgres

SHORT = Limits("tests", connect=2.0, lock=1.0, statement=1.5, idle=1.5, network=2.0)
SOON = 5.0
"""A ping, a connection and a statement, each given up in its time."""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A server that a test may freeze: its address and its first process."""
    directory = tmp_path_factory.mktemp("pg")
    try:
        server = Outage(directory)
    except Exception as error:  # noqa: BLE001 no server on this machine, whatever the reason
        pytest.skip(f"no PostgreSQL can be started here: {type(error).__name__}")
    db = Database(postgres_url(server.uri, "cart", create=True), limits=MIGRATION)
    db.migrate()
    db.close()
    yield server.uri, server.server.pid
    server.close()


def proxied(uri: str, port: int, extra: str = "") -> str:
    """The address of the server behind a proxy on a port."""
    parts = urlsplit(uri)
    return f"postgresql+psycopg://{parts.username or 'postgres'}@127.0.0.1:{port}/cart?sslmode=disable{extra}"


def socket_of(uri: str) -> str:
    host = parse_qs(urlsplit(uri).query)["host"][0]
    return next(str(one) for one in Path(host).glob(".s.PGSQL.*") if not one.name.endswith(".lock"))


@pytest.fixture
def proxy(own_server: tuple[str, int]) -> Iterator[Proxy]:
    made = Proxy(socket_of(own_server[0]))
    yield made
    made.close()


@pytest.fixture
def behind(own_server: tuple[str, int], proxy: Proxy) -> Iterator[Database]:
    made = Database(proxied(own_server[0], proxy.port), limits=SHORT)
    yield made
    made.close()


@pytest.fixture
def direct(own_server: tuple[str, int]) -> Iterator[Database]:
    made = Database(postgres_url(own_server[0], "cart"), limits=SHORT)
    yield made
    made.close()


def asked(db: Database) -> None:
    with db.read() as session:
        session.execute(text("SELECT 1 FROM inbox LIMIT 1"))


def wrote(db: Database) -> None:
    with db.write() as session:
        serialize(session)
        session.execute(text("SELECT 1 FROM inbox LIMIT 1"))


def refused_in(call: Callable[[], None]) -> float:
    """Seconds until the call failed."""
    began = time.monotonic()
    with pytest.raises(DatabaseError):
        call()
    return time.monotonic() - began


def answers_again(db: Database) -> None:
    def tried() -> bool:
        try:
            wrote(db)
        except DatabaseError:
            return False
        return True

    eventually(tried, "the database is used again", 20)


def test_a_silent_network_is_waited_for_shortly_and_one_caller_at_a_time_tries_it(
    behind: Database, proxy: Proxy
) -> None:
    wrote(behind)
    proxy.turn("silent")
    assert refused_in(lambda: wrote(behind)) < SOON
    with ThreadPoolExecutor(20) as pool:
        took = sorted(pool.map(lambda _: refused_in(lambda: wrote(behind)), range(20)))
    assert took[10] < 0.5
    assert took[-1] < SOON
    proxy.turn("open")
    answers_again(behind)


def test_a_statement_that_is_never_answered_ends(behind: Database, proxy: Proxy) -> None:
    def write_in_silence() -> None:
        with behind.write() as session:
            serialize(session)
            proxy.turn("silent")
            session.execute(text("SELECT 1"))

    assert refused_in(write_in_silence) < SOON
    proxy.turn("open")
    answers_again(behind)


def test_a_commit_that_is_never_answered_ends(behind: Database, proxy: Proxy) -> None:
    def commit_in_silence() -> None:
        with behind.write() as session:
            serialize(session)
            proxy.turn("silent")

    assert refused_in(commit_in_silence) < SOON
    proxy.turn("open")
    answers_again(behind)


def test_a_network_that_refuses_is_an_error_at_once_and_is_used_again(behind: Database, proxy: Proxy) -> None:
    wrote(behind)
    proxy.turn("refused")
    assert refused_in(lambda: wrote(behind)) < 2.0
    assert not behind.takes_writes(1.0)
    proxy.turn("open")
    answers_again(behind)
    assert behind.takes_writes(1.0)


def test_a_frozen_server_is_waited_for_shortly(own_server: tuple[str, int], direct: Database) -> None:
    wrote(direct)
    with frozen(*with_children(own_server[1])):
        assert refused_in(lambda: wrote(direct)) < SOON
        assert refused_in(lambda: asked(direct)) < SOON
        began = time.monotonic()
        assert not direct.takes_writes(1.0)
        assert time.monotonic() - began < SOON
    answers_again(direct)


def test_a_frozen_backend_costs_one_transaction(own_server: tuple[str, int], direct: Database) -> None:
    def reads_from_a_frozen_one() -> None:
        with direct.read() as session:
            pid = int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())
            with frozen(pid):
                session.execute(text("SELECT 1"))

    assert refused_in(reads_from_a_frozen_one) < SOON
    wrote(direct)


def test_a_transaction_that_stands_still_lets_the_others_in(own_server: tuple[str, int], direct: Database) -> None:
    """Its process is frozen in mid-transaction with the inbox's lock: its session ends, and it fails when it goes on."""
    other = Database(postgres_url(own_server[0], "cart"), limits=SHORT)

    def frozen_in_mid_transaction() -> None:
        with direct.write() as session:
            serialize(session)
            assert refused_in(lambda: wrote(other)) < SHORT.lock + 1.0
            assert not other.takes_writes(0.2)
            answers_again(other)
            session.execute(text("SELECT 1"))

    refused_in(frozen_in_mid_transaction)
    wrote(direct)
    other.close()


def test_a_pool_in_use_is_an_error_that_says_send_again(own_server: tuple[str, int]) -> None:
    db = Database(postgres_url(own_server[0], "cart"), limits=Limits(lock=0.3, connections=2))
    with db.read(), db.read():
        assert refused_in(lambda: asked(db)) < 2.0
    asked(db)
    db.close()


def setting(db: Database, name: str) -> str:
    with db.read() as session:
        return str(session.execute(text(f"SELECT current_setting('{name}')")).scalar_one())


def test_an_option_of_the_address_takes_precedence(own_server: tuple[str, int], proxy: Proxy) -> None:
    extra = "&options=-c%20statement_timeout%3D7s&application_name=mine&connect_timeout=4&keepalives_idle=60"
    db = Database(proxied(own_server[0], proxy.port, extra), limits=SHORT)
    assert setting(db, "statement_timeout") == "7s"
    assert setting(db, "application_name") == "mine"
    assert setting(db, "lock_timeout") == "1s"
    assert setting(db, "idle_in_transaction_session_timeout") == "1500ms"
    db.close()


def test_a_long_reading_has_its_own_limit(direct: Database) -> None:
    with pytest.raises(DatabaseError), direct.read() as session:
        session.execute(text("SELECT pg_sleep(2.5)"))
    with direct.read(long=True) as session:
        session.execute(text("SELECT pg_sleep(2.5)"))
    assert setting(direct, "statement_timeout") == "1500ms"


def test_a_migration_names_what_it_waits_for_and_gives_up(own_server: tuple[str, int], direct: Database) -> None:
    url = postgres_url(own_server[0], "held", create=True)
    holder = Database(url, limits=Limits("the holder"))
    migrating = Database(url, limits=Limits("migration", lock=0.8))
    migrating.migrate()
    reported: list[str] = []
    with holder.write() as session:
        session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        pid = int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())
        with pytest.raises(SchemaBusy, match=rf"process {pid} \(the holder, idle in transaction"):
            migrating.migrate(reported.append, try_seconds=2.0)
        assert any("the holder" in line for line in reported)
    holder.close()
    migrating.migrate()
    migrating.close()


def test_a_migration_waits_out_a_short_lock(own_server: tuple[str, int]) -> None:
    url = postgres_url(own_server[0], "short", create=True)
    holder, migrating = Database(url), Database(url, limits=Limits("migration", lock=0.5))
    migrating.migrate()
    reported: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with holder.write() as session:
            session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
            running = pool.submit(migrating.migrate, reported.append)
            eventually(lambda: reported, "it waits", 10)
        running.result(30)
    holder.close()
    migrating.close()
