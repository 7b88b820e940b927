"""Real databases with the schema on them: a SQLite file, and PostgreSQL where a server can be started.

Migrations run once for each process; every database of a test is a copy of the first.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from store.engine import Database
from store.keys import Keyring, create_keyring
from tests.kit.postgres import as_role, make_roles, postgres_server, postgres_url


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


def migrated_database(path: Path) -> Database:
    """A new SQLite database at a path."""
    shutil.copy(sqlite_template(), path)
    return Database(f"sqlite:///{path}")


def fresh_database(directory: Path) -> Database:
    """Another SQLite database in a directory, as often as one is asked for."""
    return migrated_database(directory / f"{uuid.uuid4().hex}.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="cart-postgres-"))
    with postgres_server(directory) as url:
        yield url
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    make_roles(postgres, "cart_template")
    db = Database(as_role(postgres_url(postgres, "cart_template"), "cart_owner"))
    db.migrate()
    db.close()
    return postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind; a test that takes it runs on both."""
    if request.param == "sqlite":
        database = migrated_database(tmp_path / "cart.db")
    else:
        server = request.getfixturevalue("postgres_template")
        name = f"t_{uuid.uuid4().hex[:12]}"
        # The role of workers and gateways: what needs more rights fails here.
        database = Database(as_role(postgres_url(server, name, create=True, template="cart_template"), "cart_app"))
    yield database
    database.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return create_keyring(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Database, Keyring]]:
    """A SQLite database and its keys."""
    made = migrated_database(tmp_path / "cart.db")
    yield made, create_keyring(tmp_path / "keys.json")
    made.close()
