"""`deploy/postgresql/roles.sql`: each role can do its work and nothing else, on a real PostgreSQL.

The `db` fixture of `tests/kit/databases.py` uses the same file: every test that takes it runs as `cart_app`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import make_url

from store.engine import Database
from tests.kit.postgres import as_role, make_roles, postgres_url

pytestmark = pytest.mark.postgres

CHANGES = (
    "CREATE TABLE mine (id int)",
    "DROP TABLE inbox",
    "ALTER TABLE inbox ADD COLUMN more int",
    "TRUNCATE inbox",
    "CREATE INDEX more ON inbox (id)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "ALTER TABLE inbox OWNER TO cart_app",
    "ALTER TABLE inbox DISABLE TRIGGER ALL",
)


@dataclass
class Installation:
    """A server, and the name of the product's database on it."""

    server: str
    name: str

    def connect(self, role: str, database: str = "") -> psycopg.Connection[tuple[object, ...]]:
        url = as_role(postgres_url(self.server, database or self.name), role)
        return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

    def migrate(self, role: str) -> None:
        db = Database(as_role(postgres_url(self.server, self.name), role))
        db.migrate()
        db.close()

    def tables(self) -> list[str]:
        with self.connect("cart_owner") as connection:
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            return sorted(str(row[0]) for row in rows)


@pytest.fixture(scope="module")
def installation(postgres: str) -> Installation:
    name = f"roles_{uuid.uuid4().hex[:8]}"
    make_roles(postgres, name)
    made = Installation(postgres, name)
    made.migrate("cart_owner")
    return made


def test_the_owner_migrates_and_nothing_is_left_to_another_role(installation: Installation) -> None:
    with installation.connect("cart_owner") as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [("cart_owner",)]
    assert "inbox" in installation.tables()
    installation.migrate("cart_owner")


@pytest.mark.parametrize("role", ["cart_app", "cart_read"])
@pytest.mark.parametrize("statement", CHANGES)
def test_no_other_role_changes_the_schema(installation: Installation, role: str, statement: str) -> None:
    with installation.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_the_application_reads_and_writes_every_table(installation: Installation) -> None:
    with installation.connect("cart_app") as connection:
        for table in installation.tables():
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                held = connection.execute("SELECT has_table_privilege(%s, %s)", (f"public.{table}", right)).fetchone()
                assert held == (True,), (table, right)


def test_the_reader_reads_every_table_and_writes_none(installation: Installation) -> None:
    with installation.connect("cart_read") as connection:
        for table in installation.tables():
            connection.execute(f'SELECT count(*) FROM "{table}"'.encode())
            for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                held = connection.execute("SELECT has_table_privilege(%s, %s)", (f"public.{table}", right)).fetchone()
                assert held == (False,), (table, right)


@pytest.mark.parametrize(
    ("role", "database"),
    [("temporal", ""), ("cart_app", "temporal"), ("cart_owner", "temporal_visibility"), ("cart_read", "temporal")],
)
def test_temporal_and_the_product_cannot_reach_each_others_database(
    installation: Installation, role: str, database: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        installation.connect(role, database)


def test_temporal_makes_its_schema_in_its_own_databases(installation: Installation) -> None:
    for database in ("temporal", "temporal_visibility"):
        with installation.connect("temporal", database) as connection:
            connection.execute("CREATE TABLE schema_probe (id int)")
            connection.execute("DROP TABLE schema_probe")


def test_an_installation_of_one_role_is_divided_later(postgres: str) -> None:
    """As the release before kept it: one role that owns everything."""
    made = Installation(postgres, f"one_{uuid.uuid4().hex[:8]}")
    administrator = str(make_url(postgres).username)
    postgres_url(postgres, made.name, create=True)
    made.migrate(administrator)
    make_roles(postgres, made.name)
    make_roles(postgres, made.name)
    made.migrate("cart_owner")
    with made.connect("cart_app") as connection:
        assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE inbox")
