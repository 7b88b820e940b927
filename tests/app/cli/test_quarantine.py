"""The command line of the quarantine, asked of a real gateway on a real port."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from app.cli.main import cli
from intake.inbox.receive import receive
from store.keys import read_keyring
from tests.app.cli.conftest import NOW, AlertsCli
from tests.kit import events as e


def run(alerts_cli: AlertsCli, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        cli, ["quarantine", *words, "--data-dir", str(alerts_cli.data_dir), "--url", alerts_cli.url]
    )
    return done.exit_code, done.output + str(done.exception or "")


def test_an_entry_is_listed_tried_again_and_closed_with_its_reason(alerts_cli: AlertsCli) -> None:
    keys = read_keyring(alerts_cli.data_dir / "keys.json")
    stray = receive(alerts_cli.db, keys, e.custody(subject="COI-9", coi="COI-9"), NOW, "lab").quarantine_id
    assert stray
    code, listed = run(alerts_cli, "list", "--text")
    assert (code, f"{stray}  waiting" in listed, "no encounter is known" in listed) == (0, True, True)
    assert "quarantined  no encounter is known" in run(alerts_cli, "replay", stray)[1]
    code, refused = run(alerts_cli, "close", stray, "--by", "coordinator", "--because", "other")
    assert code == 1
    assert "note" in refused
    assert run(alerts_cli, "close", stray, "--by", "coordinator", "--because", "duplicate") == (
        0,
        f"{stray}  closed  cart.custody.recorded\n",
    )
    assert "closed by coordinator: duplicate" in run(alerts_cli, "list", "--state", "closed", "--text")[1]
    assert json.loads(run(alerts_cli, "list", "--state", "waiting", "--json")[1]) == {"entries": []}
