"""A gateway on a real port whose alerts the command line lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import AnyHttpUrl
from typer.testing import CliRunner

from activities.alerting.destinations import Destination
from app.api.access import Access
from app.cli.main import cli
from app.client import ApiError
from app.process.gateway import create_gateway
from store.engine import Database
from store.keys import create_keyring
from store.tables import AlertRecord
from tests.kit.databases import migrated_database
from tests.kit.rows import alert_row
from tests.kit.sockets import listening

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


UNREACHABLE = Destination(name="pager", kind="webhook", url=AnyHttpUrl("http://127.0.0.1:9"), secret=bytes(32))


@dataclass
class AlertsCli:
    db: Database
    data_dir: Path
    url: str

    def run(self, *words: str) -> str:
        asks = words[0] in ("list", "causes", "dead-letters") and "--json" not in words
        words = (*words, "--text") if asks else words
        answer = CliRunner().invoke(cli, ["alerts", *words, "--data-dir", str(self.data_dir), "--url", self.url])
        if isinstance(answer.exception, ApiError):
            raise answer.exception
        assert answer.exit_code == 0, answer.output
        return answer.output

    def state(self, alert_id: str) -> str:
        with self.db.read() as session:
            return session.get_one(AlertRecord, alert_id).state


def alert(alert_id: str, **changes: object) -> AlertRecord:
    return alert_row(alert_id, now=NOW, **{"kind": "certification_missing", "layer": "fact", **changes})


@pytest.fixture
def alerts_cli(tmp_path: Path) -> Iterator[AlertsCli]:
    db = migrated_database(tmp_path / "cart.db")
    keys = create_keyring(tmp_path / "keys.json")
    (tmp_path / "token").write_text("a-token-of-the-tests-long-enough")
    with db.write() as session:
        for one in (alert("alr_1"), alert("alr_2"), alert("alr_3", kind="stock_missing", layer=None)):
            session.add(one)
    api = create_gateway(db=db, keys=keys, access=Access.from_token_file(tmp_path / "token"), clock=lambda: NOW)
    with listening(api) as url:
        yield AlertsCli(db, tmp_path, url)
    db.close()
