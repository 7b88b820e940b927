"""Real databases with the schema on them: SQLite files, or databases of a PostgreSQL server.

Migrations run once for each process; every database of a test is a copy of the first. `CART_TEST_DATABASE=postgresql`
(`make test-postgres`) makes a PostgreSQL database wherever a SQLite file is made otherwise. Tests of the modules in `BOTH`
run on both engines in every run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, make_url

from store.engine import Database
from store.keys import Keyring, create_keyring
from tests.kit.files import ROOT
from tests.kit.postgres import QUICK, Server, as_role, make_roles, started

SQLITE, POSTGRESQL = "sqlite", "postgresql"
EVERYWHERE = os.environ.get("CART_TEST_DATABASE", SQLITE)
"""The engine of every database of this run."""
assert EVERYWHERE in (SQLITE, POSTGRESQL), f"CART_TEST_DATABASE={EVERYWHERE}: neither {SQLITE} nor {POSTGRESQL}"

BOTH: tuple[str, ...] = ("store/test_migrations", "store/test_releases", "workflows/test_earlier_release")
"""Modules and directories under `tests` whose tests run on both engines: what differs between them is locking, order,
uniqueness, JSON, decimals, times and sequences."""

_chosen = [EVERYWHERE]


def engine_of_this_test() -> str:
    """The engine on which databases are made now."""
    return _chosen[-1]


@contextmanager
def as_owner(db: Database) -> Iterator[Connection]:
    """A transaction of the role that owns the tables: the application's own role cannot change them."""
    owner = db if db.url.startswith(SQLITE) else Database(as_role(db.url, "cart_owner"))
    try:
        with owner.engine.begin() as connection:
            yield connection
    finally:
        if owner is not db:
            owner.close()


@contextmanager
def closed(db: Database) -> Iterator[None]:
    """A PostgreSQL database that lets no one in, and ends who is."""
    name = make_url(db.url).database
    server = make_url(db.url).set(drivername="postgresql", database="postgres", username="postgres")
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@contextmanager
def refusing(db: Database, event_type: str) -> Iterator[None]:
    """No event of a type can be stored: the database has no room at that moment."""
    condition = f"new.type = '{event_type}'"
    if db.url.startswith(SQLITE):
        make = [
            f"CREATE TRIGGER refusing BEFORE INSERT ON inbox WHEN {condition} BEGIN SELECT raise(ABORT, 'full'); END"
        ]
        remove = ["DROP TRIGGER refusing"]
    else:
        body = "BEGIN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END"
        make = [
            f"CREATE FUNCTION refusing() RETURNS trigger AS $$ {body} $$ LANGUAGE plpgsql",
            f"CREATE TRIGGER refusing BEFORE INSERT ON inbox FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refusing()",
        ]
        remove = ["DROP TRIGGER refusing ON inbox", "DROP FUNCTION refusing()"]
    with as_owner(db) as connection:
        for statement in make:
            connection.exec_driver_sql(statement)
    yield
    with as_owner(db) as connection:
        for statement in remove:
            connection.exec_driver_sql(statement)


@cache
def sqlite_template() -> Path:
    """A migrated SQLite file to copy; nothing writes to it."""
    directory = Path(tempfile.mkdtemp(prefix="cart-template-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "cart.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path


@cache
def postgres_of_this_process() -> Server:
    """The server on which the databases of this process are made."""
    server = started(QUICK)
    atexit.register(server.close)
    return server


TEMPLATE = "cart_template"


@cache
def _with_template() -> Server:
    server = postgres_of_this_process()
    make_roles(server.address(), TEMPLATE)
    db = Database(as_role(server.url(TEMPLATE), "cart_owner"))
    db.migrate()
    db.close()
    return server


def new_postgres(*, schema: bool = True) -> str:
    """The URL of a new PostgreSQL database, with the schema or empty."""
    server = _with_template() if schema else postgres_of_this_process()
    return server.create(f"t_{uuid.uuid4().hex[:12]}", TEMPLATE if schema else "template0")


def migrated_database(path: Path) -> Database:
    """A new database; on SQLite, the file of this path."""
    return Database(migrated_url(path))


def migrated_url(path: Path) -> str:
    """The URL of a new database; on SQLite, of the file of this path."""
    if engine_of_this_test() == POSTGRESQL:
        # The role of workers and gateways: what needs more rights fails here.
        return as_role(new_postgres(), "cart_app")
    shutil.copy(sqlite_template(), path)
    return f"sqlite:///{path}"


def empty_url(path: Path) -> str:
    """The URL of a new database without a schema; on SQLite, of a file that does not exist yet."""
    return new_postgres(schema=False) if engine_of_this_test() == POSTGRESQL else f"sqlite:///{path}"


def fresh_database(directory: Path) -> Database:
    """Another database, as often as one is asked for; on SQLite, a file in the directory."""
    return migrated_database(directory / f"{uuid.uuid4().hex}.db")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    where = metafunc.definition.path.relative_to(ROOT / "tests").as_posix()
    if EVERYWHERE == SQLITE and where.startswith(BOTH) and _is_chosen(metafunc):
        if "database_engine" not in metafunc.fixturenames:
            metafunc.fixturenames.insert(0, "database_engine")
        engines = [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgres)]
        metafunc.parametrize("database_engine", engines, indirect=True)


def _is_chosen(metafunc: pytest.Metafunc) -> bool:
    """A test that takes `db` of this file is on both already."""
    return "database_engine" in metafunc.fixturenames or "db" not in metafunc.fixturenames


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if EVERYWHERE == POSTGRESQL:
        for item in items:
            if mark := item.get_closest_marker("sqlite"):
                item.add_marker(pytest.mark.skip(reason=f"about SQLite: {mark.args[0]}"))


@pytest.fixture(scope="session")
def postgres() -> str:
    """The address of a PostgreSQL server, for tests that are about it."""
    return postgres_of_this_process().address()


@pytest.fixture(scope="session")
def postgres_template() -> str:
    """The same, with the database `cart_template` to copy."""
    return _with_template().address()


@pytest.fixture
def database_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of this test; in modules that run on both, each in turn."""
    _chosen.append(getattr(request, "param", EVERYWHERE))
    yield _chosen[-1]
    _chosen.pop()


@pytest.fixture(params=[SQLITE, pytest.param("postgres", marks=pytest.mark.postgres)][EVERYWHERE == POSTGRESQL :])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind; a test that takes it runs on both."""
    _chosen.append(SQLITE if request.param == SQLITE else POSTGRESQL)
    database = migrated_database(tmp_path / "cart.db")
    _chosen.pop()
    yield database
    database.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return create_keyring(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Database, Keyring]]:
    """A database and its keys."""
    made = migrated_database(tmp_path / "cart.db")
    yield made, create_keyring(tmp_path / "keys.json")
    made.close()
