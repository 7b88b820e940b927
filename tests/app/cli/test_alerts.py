"""The command line of alerts, asked of a real gateway on a real port."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from pydantic import AnyHttpUrl
from typer.testing import CliRunner

from activities.alerting.deliver import deliver
from activities.alerting.destinations import Destination, Destinations
from activities.alerting.escalate import work
from app.api.access import Access
from app.cli.main import cli
from app.client import ApiError
from app.process.gateway import create_gateway
from store.engine import Database
from store.keys import create_keyring
from store.tables import AlertRecord

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOBODY = Destination(name="pager", kind="webhook", url=AnyHttpUrl("http://127.0.0.1:9"), secret=bytes(32))


@dataclass
class Desk:
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
    values: dict[str, object] = {
        "key": alert_id,
        "kind": "certification_missing",
        "severity": "warning",
        "owner": "coordinator",
        "title": "A certificate is missing",
        "action": "File it.",
        "citation": "G47",
        "rule": "r",
        "layer": "fact",
        "since": NOW,
        "opened_at": NOW,
        "acknowledge_by": NOW + timedelta(hours=4),
    }
    return AlertRecord(alert_id=alert_id, **(values | changes))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    db = Database(f"sqlite:///{tmp_path / 'cart.db'}")
    db.migrate()
    keys = create_keyring(tmp_path / "keys.json")
    (tmp_path / "token").write_text("a-token-of-the-tests-long-enough")
    with db.write() as session:
        for one in (alert("alr_1"), alert("alr_2"), alert("alr_3", kind="stock_missing", layer=None)):
            session.add(one)
    api = create_gateway(db=db, keys=keys, access=Access.from_token_file(tmp_path / "token"), clock=lambda: NOW)
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.02)
        yield Desk(db, tmp_path, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(10)
        db.close()


def test_alerts_are_listed_with_their_next_step_and_by_cause(desk: Desk) -> None:
    listed = desk.run("list", "--state", "open")
    assert listed.count("-> File it.") == 3
    assert "acknowledge by 2026-06-01T16:00" in listed
    told = desk.run("causes")
    assert "certificate.fact  warning  2 alerts, 2 open" in told
    assert "stock_missing  warning  1 alert, 1 open, whole house" in told
    assert desk.run("list", "--severity", "critical").strip() == "no alert"
    assert [one["cause"] for one in json.loads(desk.run("causes", "--json"))["causes"]] == [
        "certificate.fact",
        "stock_missing",
    ]


def test_a_whole_cause_is_taken_at_once_and_no_other(desk: Desk) -> None:
    assert desk.run("acknowledge", "--cause", "certificate.fact", "--by", "coordinator").count("acknowledged") == 2
    assert [desk.state(f"alr_{n}") for n in (1, 2, 3)] == ["acknowledged", "acknowledged", "open"]
    desk.run("acknowledge", "alr_3", "--by", "pharmacy", "--note", "doses ordered")
    assert desk.state("alr_3") == "acknowledged"
    with pytest.raises(ApiError, match="no alert has this id"):
        desk.run("acknowledge", "alr_9", "--by", "pharmacy")
    with pytest.raises(ApiError, match="alerts causes"):
        desk.run("acknowledge", "--cause", "nothing", "--by", "pharmacy")


def test_a_dead_letter_is_listed_and_tried_again(desk: Desk) -> None:
    where = Destinations(destinations=(NOBODY,))
    with desk.db.write() as session:
        work(session, where, NOW, timedelta(hours=4))
    assert desk.run("dead-letters").strip() == "no message was given up"
    deliver(desk.db, where, NOW + timedelta(hours=25))
    listed = desk.run("dead-letters")
    assert re.search(r"pager  opened [\w.]+: \d alerts?, tried 1 time, no answer: ConnectError", listed)
    delivery_id = listed.split()[0]
    assert "waiting  pager" in desk.run("retry", delivery_id)
    assert delivery_id not in desk.run("dead-letters")
    with pytest.raises(ApiError, match="no message has this id"):
        desk.run("retry", "dlv_9")


def test_a_destinations_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text('[[destinations]]\nname = "am"\nkind = "alertmanager"\nurl = "http://am:9093"\n')
    answer = CliRunner().invoke(cli, ["alerts", "check", str(path)])
    assert "am: alertmanager http://am:9093/  critical, warning  every owner" in answer.output
    path.write_text('[[destinations]]\nname = "am"\nkind = "alertmanager"\nurl = "am"\n')
    answer = CliRunner().invoke(cli, ["alerts", "check", str(path)])
    assert "destinations.0.url" in str(answer.exception)
