"""Real databases: a SQLite file, and PostgreSQL where a server can be started."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.engine import Database
from store.keys import Keyring, create_keyring
from tests.kit.postgres import postgres_server, postgres_url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "cart.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="cart-postgres-"))
    with postgres_server(directory) as url:
        yield url
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    url = postgres_url(postgres, "cart_template", create=True)
    db = Database(url)
    db.migrate()
    db.close()
    return postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "cart.db")
        database = Database(f"sqlite:///{tmp_path / 'cart.db'}")
    else:
        server = request.getfixturevalue("postgres_template")
        name = f"t_{uuid.uuid4().hex[:12]}"
        database = Database(postgres_url(server, name, create=True, template="cart_template"))
    yield database
    database.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return create_keyring(tmp_path_factory.mktemp("keys") / "keys.json")
