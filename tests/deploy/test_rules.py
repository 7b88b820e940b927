"""Rules, routes and runbooks: they hold together, they fire, and they stay quiet."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from app.metrics.definitions import DEFINITIONS
from app.tools.metrics_catalogue import markdown
from tests.kit.documents import incomplete, out_of_date
from tests.kit.files import DEPLOY
from tests.kit.promql import ALERTS, RULES, documented, metrics_in, recorded

TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.test.yml"))
SENT = {"CartEncounterAlert"}
"""Sent to Alertmanager by alert delivery."""

ROOT = DEPLOY.parent
Find = Callable[[str], str]
RUN = "run: python -m app.tools.metrics_catalogue docs/metrics.md"


def run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documented_metrics_are_those_of_the_program() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert out_of_date(written, markdown()) == [], RUN
    assert all(f"`{each.name}`" in written for each in DEFINITIONS)


def test_no_metric_of_the_program_is_missing_from_the_document() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert incomplete(written, markdown()) == [], RUN
    assert written == markdown(), RUN


def test_prometheus_reads_its_configuration(program: Find) -> None:
    run(program("promtool"), "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_alertmanager_reads_its_configuration(program: Find) -> None:
    run(program("amtool"), "check-config", DEPLOY / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_fire_and_stay_quiet(program: Find, path: Path) -> None:
    run(program("promtool"), "test", "rules", path)


def test_every_alert_has_a_case_that_fires_it_and_one_that_does_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case.get("alert_rule_test", ()):
                (fires if check["exp_alerts"] else quiet).add(check["alertname"])
    assert fires == set(ALERTS)
    assert quiet == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_states_the_owner_and_the_next_step(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["owner"]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["next_step"]
    assert rule["annotations"]["runbook"] == f"deploy/runbooks/{name}.md"
    text = (ROOT / rule["annotations"]["runbook"]).read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Usual causes", "## What to do", "## Over when"):
        assert heading in text


def test_no_runbook_is_left_without_its_alert() -> None:
    assert {path.stem for path in (DEPLOY / "runbooks").glob("*.md")} == set(ALERTS) | SENT


def test_rules_use_only_metrics_that_exist() -> None:
    known = documented() | recorded()
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                assert metrics_in(rule["expr"]) <= known, rule


def route(amtool: str, **labels: str) -> list[str]:
    done = subprocess.run(
        [
            amtool,
            "config",
            "routes",
            "test",
            f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
            *(f"{name}={value}" for name, value in labels.items()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_pages_call_and_tickets_wait(program: Find, name: str) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    assert route(program("amtool"), alertname=name, severity=severity) == [severity]


def test_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            named = matcher.split('"')[1].split("|")
            assert set(named) <= set(ALERTS) | SENT, matcher
