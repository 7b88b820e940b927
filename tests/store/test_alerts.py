"""Alerts in the database: opened once per key, resolved by it; no transaction fails over the text of an alert."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from domain.rulebook import RulebookError
from intake import alerts
from store.alerts import open_once, resolve
from store.config import ConfigCache, packaged_rules, rulebook_directory
from store.engine import Database
from store.tables import AlertRecord
from tests.kit.databases import migrated_url

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SITE = Path(__file__).parents[2] / "deploy" / "site.example.toml"
TITLE = packaged_rules().by_id("intake.feed_silent").title  # type: ignore[attr-defined]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory of rules whose silent feeds have a title of their own."""
    directory = tmp_path / "rules"
    directory.mkdir()
    for path in rulebook_directory().glob("*.toml"):
        shutil.copy(path, directory)
    ours = directory / "alerts_intake.toml"
    ours.write_text(ours.read_text().replace(TITLE, "Our feed is silent"))
    return directory


def opened(config: ConfigCache, tmp_path: Path) -> list[tuple[str, str]]:
    """Titles and states after the same finding twice, and one that is resolved."""
    db = Database(migrated_url(tmp_path / f"{uuid.uuid4().hex}.db"), config.last_rules)
    with db.write() as session:
        for feed in ("a", "a", "b"):
            open_once(session, None, alerts.feed_silent(feed), NOW)
        resolve(session, alerts.feed_silent("b").key, NOW)
    with db.read() as session:
        rows = session.exec(select(AlertRecord).order_by(AlertRecord.key)).all()
    db.close()
    return [(row.title, row.state) for row in rows]


def titled(title: str) -> list[tuple[str, str]]:
    return [(title, "open"), (title, "resolved")]


def test_an_alert_is_opened_once_with_the_text_of_the_configured_row(rules: Path, tmp_path: Path) -> None:
    assert opened(ConfigCache("current", rules, SITE), tmp_path) == titled("Our feed is silent")


def test_rules_that_no_longer_load_leave_the_last_texts(rules: Path, tmp_path: Path) -> None:
    config = ConfigCache("current", rules, SITE)
    config.rules()
    (rules / "windows.toml").write_text("not TOML")
    with pytest.raises(RulebookError):
        config.rules()
    assert opened(config, tmp_path) == titled("Our feed is silent")


def test_rules_that_never_loaded_leave_the_packaged_texts(rules: Path, tmp_path: Path) -> None:
    (rules / "windows.toml").write_text("not TOML")
    assert opened(ConfigCache("current", rules, SITE), tmp_path) == titled(TITLE)


def test_a_kind_that_a_copied_rulebook_is_missing_has_the_packaged_text(rules: Path, tmp_path: Path) -> None:
    (rules / "alerts_intake.toml").unlink()
    assert opened(ConfigCache("current", rules, SITE), tmp_path) == titled(TITLE)
