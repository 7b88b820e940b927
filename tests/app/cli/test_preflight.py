"""`cart-encounter preflight` without a stack: the same answer, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import cli
from app.client import ApiError
from tests.kit import referrals as r
from tests.kit.files import RULEBOOK, SITE_FILE

RUNNER = CliRunner()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(*arguments: str) -> dict[str, object]:
    result = RUNNER.invoke(cli, ["preflight", *arguments])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


def test_without_a_stack_it_is_judged_here_and_nothing_is_written(here: Path) -> None:
    (here / "referral.json").write_text(json.dumps(r.event()))
    (here / "data.json").write_text(json.dumps(r.data()))
    before = sorted(here.rglob("*"))

    whole, bare = asked("referral.json"), asked("data.json")

    assert whole == bare
    assert whole["payer"] == "medicare"
    assert sorted(here.rglob("*")) == before


def test_a_site_file_and_a_rulebook_of_one_s_own(here: Path) -> None:
    (here / "referral.json").write_text(json.dumps(r.event()))
    text = SITE_FILE.read_text().replace('holder = "st_mary"', 'holder = "unknown"')
    (here / "site.toml").write_text(text)
    (here / "rules").mkdir()
    for table in RULEBOOK.glob("*.toml"):
        (here / "rules" / table.name).write_text(table.read_text())
    products = here / "rules" / "products.toml"
    products.write_text(products.read_text().replace("vein_to_vein_days = [16, 19]", "vein_to_vein_days = [20, 21]"))

    answer = asked("referral.json", "--site", "site.toml", "--rules", "rules")

    assert answer["cleared"] is False
    assert "20 to 21 days" in json.dumps(answer["dates"])
    assert asked("referral.json", "--edition", "guide")["edition"] == "guide"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ('{"product": "CANARY 7"}', "data.product"),
        (None, "cannot be read"),
    ],
)
def test_an_invalid_input_is_refused_in_one_line_without_a_value(here: Path, text: str | None, message: str) -> None:
    if text is not None:
        (here / "referral.json").write_text(text)

    result = RUNNER.invoke(cli, ["preflight", "referral.json"])

    assert isinstance(result.exception, ApiError)
    assert message in str(result.exception)
    assert "CANARY" not in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_broken_site_file_is_named(here: Path) -> None:
    (here / "referral.json").write_text(json.dumps(r.event()))
    (here / "site.toml").write_text("name = 1")

    result = RUNNER.invoke(cli, ["preflight", "referral.json", "--site", "site.toml"])

    assert isinstance(result.exception, ApiError)
    assert "facilities" in str(result.exception)
