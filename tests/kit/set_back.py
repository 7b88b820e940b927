"""A database that is set back to an earlier moment under running processes: an older backup, point-in-time recovery, failover."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from store.engine import Database
from tests.kit.waiting import eventually


class Moment:
    """A database as it was at one moment."""

    def __init__(self, db: Database, directory: Path) -> None:
        self._db = db
        self._copy = directory / f"moment-{uuid.uuid4().hex[:8]}.db"
        self._name = f"moment_{uuid.uuid4().hex[:8]}"
        db.engine.dispose()
        if self._file is not None:
            for end in ("", "-wal", "-shm"):
                if (path := Path(f"{self._file}{end}")).exists():
                    shutil.copy(path, f"{self._copy}{end}")
        else:
            # A copy is made of a database that no one uses at that moment; processes connect again.
            eventually(self._copied, "the database is copied", pause=0.1)

    def _copied(self) -> bool:
        self._sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database}'")
        try:
            self._sql(f'CREATE DATABASE "{self._name}" TEMPLATE "{self._database}"')
        except psycopg.errors.ObjectInUse:
            return False
        return True

    def comes_back(self) -> None:
        """The database is what it was at that moment; processes that use it notice nothing."""
        self._db.engine.dispose()
        if self._file is not None:
            for end in ("", "-wal", "-shm"):
                Path(f"{self._file}{end}").unlink(missing_ok=True)
                if (path := Path(f"{self._copy}{end}")).exists():
                    shutil.copy(path, f"{self._file}{end}")
        else:
            self._sql(f'DROP DATABASE "{self._database}" WITH (FORCE)')
            self._sql(f'CREATE DATABASE "{self._database}" TEMPLATE "{self._name}"')

    @property
    def _file(self) -> Path | None:
        url = make_url(self._db.url)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    @property
    def _database(self) -> str:
        return make_url(self._db.url).database or ""

    def _sql(self, text: str) -> None:
        server = make_url(self._db.url).set(drivername="postgresql", database="postgres", username="postgres")
        with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(text.encode())
