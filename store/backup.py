"""Copies of the database while it is in use, and putting one in its place; what is replaced is kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, text
from sqlmodel import Session, col, func, select

from store.engine import MIGRATIONS, Database
from store.installation import epoch_of, would_open
from store.keys import Keyring
from store.outbox_index import sync
from store.tables import CustodyIndex, Inbox

SQLITE_PARTS = ("", "-wal", "-shm")


class CannotRestore(RuntimeError):
    """A backup cannot be made or put in place; the message says why and what to do."""


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL."""
    parts = make_url(url)
    return Path(parts.database or "") if parts.get_backend_name() == "sqlite" else None


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database whole while others write to it.

    Raises:
        CannotRestore: it cannot be read, or is damaged.
    """
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    if not source.is_file():
        raise CannotRestore(f"{source}: there is no such file")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as read, sqlite3.connect(draft) as written:
            read.backup(written)
            written.execute("PRAGMA journal_mode=DELETE")
            [[verdict]] = written.execute("PRAGMA quick_check(1)").fetchall()
        read.close()
        written.close()
    except sqlite3.Error as error:
        draft.unlink(missing_ok=True)
        raise CannotRestore(f"{source}: {error}; choose another backup") from None
    if verdict != "ok":
        draft.unlink(missing_ok=True)
        raise CannotRestore(f"{source} is damaged; choose another backup")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)
    sync(target.parent)


def check_backup(db: Database, keys: Keyring) -> None:
    """Bring a copy to this release's schema and check that the key file opens it.

    Raises:
        CannotRestore: it is no database of this product, or of a newer release.
        ForeignKeys: the key file is not that of the backup.
    """
    with db.read() as session:
        tables = set(inspect(session.connection()).get_table_names())
        if not {"alembic_version", "inbox", "encounters"} <= tables:
            raise CannotRestore("it is no database of cart-encounter; choose another backup")
        [revision] = session.execute(text("SELECT version_num FROM alembic_version")).one()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if revision not in {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}:
        raise CannotRestore(f"its schema {revision} is of a newer release; restore it with that release")
    db.migrate()
    with db.read() as session:
        would_open(session, keys)


def move_away(file: Path, directory: Path) -> list[Path]:
    """Move a SQLite database with its log to a directory; returns what was moved. Safe to repeat."""
    moved = []
    for part in SQLITE_PARTS:
        path = file.with_name(file.name + part)
        if path.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.replace(directory / path.name)
            moved.append(directory / path.name)
    if moved:
        sync(file.parent)
    return moved


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise CannotRestore(f"the program {name} is missing: install the client tools of PostgreSQL")
    return found


def _run(url: str, program: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL; the password goes by the environment, not by the command line."""
    parts = make_url(url).set(drivername="postgresql")
    environment = {**os.environ, **({"PGPASSWORD": parts.password} if parts.password else {})}
    named = parts._replace(password=None).render_as_string(hide_password=False)
    command = [_program(program), *arguments, f"--dbname={named}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 fixed arguments
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        fix = "; install the client tools of the server's version" if "version mismatch" in done.stderr else ""
        raise CannotRestore(f"{program}: {lines[-1]}{fix}")


def dump_postgres(url: str, target: Path) -> None:
    """Dump a PostgreSQL database at one moment while others write to it.

    Raises:
        CannotRestore: the program is missing or fails.
    """
    draft = target.with_name(f".{target.name}.part")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        _run(url, "pg_dump", "--format=custom", "--no-owner", f"--file={draft}")
    except CannotRestore:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(target)
    sync(target.parent)


def others_connected(db: Database) -> int:
    """How many other sessions use a PostgreSQL database."""
    with db.read() as session:
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return int(session.execute(query).scalar_one())


def move_tables_away(db: Database, name: str) -> bool:
    """Move every table of `public` to a new schema; False where that was done. The grants of `public` stay as they are.

    Raises:
        CannotRestore: the role may not make a schema.
    """
    with db.write() as session:
        may = "SELECT has_database_privilege(current_database(), 'CREATE'), current_user, current_database()"
        [(allowed, role, database)] = session.execute(text(may)).all()
        if not allowed:
            raise CannotRestore(
                f"{role} may not keep the tables in a schema: run GRANT CREATE ON DATABASE {database} TO {role} as administrator"
            )
        known = session.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": name}).first()
        if known is not None:
            return False
        session.execute(text(f'CREATE SCHEMA "{name}"'))
        for table in _tables(session):
            session.execute(text(f'ALTER TABLE public."{table}" SET SCHEMA "{name}"'))
        return True


def _tables(session: Session) -> list[str]:
    query = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    return [str(name) for (name,) in session.execute(query)]


def load_postgres(db: Database, dump: Path) -> None:
    """Load a dump into the empty schema `public`, whole or not at all.

    Raises:
        CannotRestore: the program is missing or fails.
    """
    with db.write() as session:
        for table in _tables(session):  # of an interrupted try
            session.execute(text(f'DROP TABLE public."{table}" CASCADE'))
    options = ("--no-owner", "--no-acl", "--schema=public", "--exit-on-error", "--single-transaction")
    _run(db.url, "pg_restore", *options, str(dump))


def newest_event(session: Session) -> datetime | None:
    """When the newest event of the database came in."""
    return session.exec(select(func.max(Inbox.received_at))).one()


def chain_head(session: Session) -> str | None:
    """The head of the index over the chains of identity."""
    return session.exec(select(CustodyIndex.hash).order_by(col(CustodyIndex.position).desc()).limit(1)).first()


def epoch_in(file: Path) -> int:
    """The epoch of a SQLite database that was replaced; 0 where it cannot be read."""
    if not file.is_file():
        return 0
    db = Database(f"sqlite:///{file}")
    try:
        with db.read() as session:
            return epoch_of(session)
    except Exception:  # noqa: BLE001 a database that is replaced may be damaged in any way
        return 0
    finally:
        db.close()
