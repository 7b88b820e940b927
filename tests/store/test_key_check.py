"""A key file that is not the database's stops every process at its start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlmodel import select

from app.process.connect import open_home, open_vault
from app.process.operator_errors import in_one_line
from app.settings import CannotStart, Settings
from intake.inbox.receive import receive
from store import rotation
from store.engine import Database
from store.installation import ForeignKeys, check_keys, installation, note_keys
from store.keys import create_keyring, read_keyring
from store.tables import Installation
from tests.kit import events as e
from tests.kit.databases import as_owner


@pytest.fixture
def home(tmp_path: Path, db: Database) -> Settings:
    create_keyring(tmp_path / "keys.json")
    return Settings(data_dir=tmp_path, database_url=db.url)


def foreign(settings: Settings) -> None:
    settings.key_file.unlink()
    create_keyring(settings.key_file)


def test_a_foreign_key_file_stops_processes_and_commands_with_the_fix(home: Settings) -> None:
    open_home(home).db.close()
    foreign(home)
    for opened in (open_home, open_vault):
        with pytest.raises(ForeignKeys) as refused:
            opened(home)
        line = in_one_line(refused.value)
        assert line is not None
        assert str(home.key_file) in line
        assert "put the installation's own keys.json back" in line


def test_a_database_of_an_earlier_release_proves_its_keys_first(home: Settings, db: Database) -> None:
    keys = read_keyring(home.key_file)
    for event in e.feed():
        receive(db, keys, event, e.NOW, "t")
    kept = home.data_dir / "kept.json"
    shutil.copy(home.key_file, kept)
    foreign(home)
    with pytest.raises(ForeignKeys, match="does not open"):
        open_vault(home)
    with db.read() as session:
        assert session.exec(select(Installation.key_check)).first() is None
    shutil.copy(kept, home.key_file)
    body = json.loads(kept.read_text())
    other = json.loads((home.data_dir / "keys.json").read_text())
    home.key_file.write_text(json.dumps({**body, "hash_key": rotation.fresh_key()}))
    with pytest.raises(ForeignKeys, match="does not open"):
        open_vault(home)
    home.key_file.write_text(json.dumps(other))
    open_vault(home)[0].close()


def test_a_key_file_from_before_a_rotation_is_refused(home: Settings, db: Database) -> None:
    keys = read_keyring(home.key_file)
    receive(db, keys, e.referral(), e.NOW, "t")
    check_keys(db, keys, e.NOW)
    old = home.key_file.read_bytes()
    rotation.stage_key(home.key_file)
    open_vault(home)[0].close()
    home.key_file.write_bytes(old)
    open_vault(home)[0].close()  # nothing is sealed with the staged key yet
    rotation.stage_key(home.key_file)
    new = rotation.activate_key(home.key_file)
    open_vault(home)[0].close()
    both = home.key_file.read_bytes()
    home.key_file.write_bytes(old)
    with pytest.raises(ForeignKeys, match="lacks data key"):
        open_vault(home)

    only_new = json.loads(both)
    only_new["data_keys"] = only_new["data_keys"][:1]
    home.key_file.write_text(json.dumps(only_new))
    with pytest.raises(ForeignKeys, match="lacks data key"):
        open_vault(home)
    rotation.reseal(db, new)
    with db.write() as session:
        note_keys(session, new, e.NOW)
    open_vault(home)[0].close()
    with db.read() as session:
        row = installation(session)
        assert row is not None
        assert len(row.data_key_ids) == 1


def test_an_older_schema_names_the_command(home: Settings, db: Database) -> None:
    with as_owner(db) as connection:
        connection.exec_driver_sql("DROP TABLE installation")
    with pytest.raises(CannotStart, match="deploy migrate"):
        open_vault(home)
