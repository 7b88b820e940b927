"""`cart-encounter rules` as a person runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import domain.rulebook
from app.cli.rules import rules_app

TABLES = Path(domain.rulebook.__file__).parent


def run(*args: str) -> Result:
    return CliRunner().invoke(rules_app, list(args))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the tables to spoil."""
    for file in TABLES.glob("*.toml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_list_names_rows_of_a_table_and_a_day() -> None:
    every = run("list", "--table", "payments")
    assert every.exit_code == 0
    assert "payments.asp.Q2053.2026Q2  2026-04-01..2026-06-30" in every.stdout
    later = run("list", "--table", "payments", "--on", "2026-07-01")
    assert "payments.asp.Q2053.2026Q2" not in later.stdout


def test_list_as_json_holds_every_column() -> None:
    rows = json.loads(run("list", "--table", "regimens", "--edition", "guide", "--json").stdout)
    assert {row["key"] for row in rows} >= {"tecartus_mcl", "tecartus_b_all"}
    assert all(row["table"] == "regimens" and row["source"] for row in rows)


def test_show_prints_a_row_of_either_edition() -> None:
    shown = run("show", "products.tecartus.guide")
    assert shown.exit_code == 0
    assert "ndc_prefixes: 71287-129" in shown.stdout
    assert run("show", "products.tecartus.guide", "--edition", "current").exit_code == 1
    missing = run("show", "products.unknown")
    assert missing.exit_code == 1
    assert "no row products.unknown" in missing.stderr


def test_diff_lists_every_correction_with_evidence_and_status() -> None:
    answer = run("diff", "guide", "current")
    assert answer.exit_code == 0
    for head in ("A1  ", "B7  ", "B21  ", "C12  ", "D  ", "H  "):
        assert f"\n{head}" in f"\n{answer.stdout}"
    assert "[verified; evidence: page;" in answer.stdout
    assert "[unconfirmed; evidence: knowledge;" in answer.stdout
    assert run("diff", "current", "guide").exit_code == 1


def test_stale_names_what_is_past_its_cadence() -> None:
    answer = run("stale", "--on", "2027-01-15")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("payments.asp.Q2053.2026Q2  due 2026-07-01  quarterly")
    assert "0 rows are past" in run("stale", "--on", "2026-05-23").stdout


def test_coverage_is_complete_and_says_where_each_line_went() -> None:
    answer = run("coverage")
    assert answer.exit_code == 0
    assert "G132  B-ALL regimen as printed  -> regimens.tecartus_b_all.guide" in answer.stdout
    assert "coverage complete: 575 lines" in answer.stdout


def test_coverage_fails_when_a_rule_it_names_is_gone(directory: Path) -> None:
    whole = (directory / "assistance.toml").read_text()
    before, row = whole.split('[[assistance]]\nid = "assistance.advancing_access"')
    after = row.partition("[[assistance]]")
    (directory / "assistance.toml").write_text(before + "".join(after[1:]))
    answer = run("coverage", "--quiet", "--rules", str(directory))
    assert answer.exit_code == 1
    assert "rules that do not exist: assistance.advancing_access" in answer.stdout


def test_a_directory_without_a_table_is_refused(directory: Path) -> None:
    (directory / "assistance.toml").unlink()
    answer = run("list", "--rules", str(directory))
    assert answer.exit_code == 1
    assert "no rows of assistance" in answer.stderr


def test_a_table_that_does_not_load_is_named(directory: Path) -> None:
    (directory / "payers.toml").write_text("[[payers]]\nid = 'payers.x'\n")
    answer = run("list", "--rules", str(directory))
    assert answer.exit_code == 1
    assert "payers.toml: payers.x:" in answer.stderr


def test_prices_are_imported_into_the_directory_that_is_read(directory: Path) -> None:
    file = directory / "prices.csv"
    file.write_text(
        '"Effective July 1, 2026 through September 30, 2026",\nHCPCS Code,Payment Limit\nQ2053,"491,000.12"\n'
    )
    answer = run("import-asp", str(file), "--out", str(directory), "--rules", str(directory))
    assert answer.exit_code == 0, answer.stderr
    shown = run("show", "payments.asp.Q2053.2026Q3", "--rules", str(directory))
    assert "amount: 491000.12" in shown.stdout
    file.write_text("nothing")
    bad = run("import-asp", str(file), "--out", str(directory / "out"))
    assert bad.exit_code == 1
    assert "existing prices stay in effect" in bad.stderr
    assert not (directory / "out").exists()
