"""The command line of alerts, asked of a real gateway on a real port."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activities.alerting.deliver import deliver
from activities.alerting.destinations import Destinations
from activities.alerting.escalate import work
from app.cli.main import cli
from app.client import ApiError
from tests.app.cli.conftest import NOW, UNREACHABLE, AlertsCli


def test_alerts_are_listed_with_their_next_step_and_by_cause(alerts_cli: AlertsCli) -> None:
    listed = alerts_cli.run("list", "--state", "open")
    assert listed.count("-> File it.") == 3
    assert "acknowledge by 2026-06-01T16:00" in listed
    listed = alerts_cli.run("causes")
    assert "certificate.fact  warning  2 alerts, 2 open" in listed
    assert "stock_missing  warning  1 alert, 1 open, all facilities" in listed
    assert alerts_cli.run("list", "--severity", "critical").strip() == "no alerts"
    assert [one["cause"] for one in json.loads(alerts_cli.run("causes", "--json"))["causes"]] == [
        "certificate.fact",
        "stock_missing",
    ]


def test_a_whole_cause_is_taken_at_once_and_no_other(alerts_cli: AlertsCli) -> None:
    assert (
        alerts_cli.run("acknowledge", "--cause", "certificate.fact", "--by", "coordinator").count("acknowledged") == 2
    )
    assert [alerts_cli.state(f"alr_{n}") for n in (1, 2, 3)] == ["acknowledged", "acknowledged", "open"]
    alerts_cli.run("acknowledge", "alr_3", "--by", "pharmacy", "--note", "doses ordered")
    assert alerts_cli.state("alr_3") == "acknowledged"
    with pytest.raises(ApiError, match="no alert has this ID"):
        alerts_cli.run("acknowledge", "alr_9", "--by", "pharmacy")
    with pytest.raises(ApiError, match="alerts causes"):
        alerts_cli.run("acknowledge", "--cause", "nothing", "--by", "pharmacy")


def test_a_dead_letter_is_listed_and_tried_again(alerts_cli: AlertsCli) -> None:
    where = Destinations(destinations=(UNREACHABLE,))
    with alerts_cli.db.write() as session:
        work(session, where, NOW, timedelta(hours=4))
    assert alerts_cli.run("dead-letters").strip() == "no undelivered messages"
    deliver(alerts_cli.db, where, NOW + timedelta(hours=25))
    listed = alerts_cli.run("dead-letters")
    assert re.search(r"pager  opened [\w.]+: \d alerts?, 1 attempt, no answer: ConnectError", listed)
    delivery_id = listed.split()[0]
    assert "waiting  pager" in alerts_cli.run("retry", delivery_id)
    assert delivery_id not in alerts_cli.run("dead-letters")
    with pytest.raises(ApiError, match="no message has this ID"):
        alerts_cli.run("retry", "dlv_9")


def test_a_destinations_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text('[[destinations]]\nname = "am"\nkind = "alertmanager"\nurl = "http://am:9093"\n')
    answer = CliRunner().invoke(cli, ["alerts", "check", str(path)])
    assert "am: alertmanager http://am:9093/  critical, warning  all owners" in answer.output
    path.write_text('[[destinations]]\nname = "am"\nkind = "alertmanager"\nurl = "am"\n')
    answer = CliRunner().invoke(cli, ["alerts", "check", str(path)])
    assert "destinations.0.url" in str(answer.exception)
