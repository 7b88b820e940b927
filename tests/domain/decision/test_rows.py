"""The code and its rows know each other: every alert kind and window that is asked for exists, and none stands idle."""

from __future__ import annotations

import ast
from datetime import UTC, datetime

import pytest

from domain.alerts import make
from domain.alerts.model import Finding
from domain.events.cells import CustodyStep
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, CustodyRule, Window
from intake import alerts
from tests.kit.files import ROOT

ROOMS = tuple(ROOT / room for room in ("domain", "activities", "store", "intake"))
SOURCES = [path for room in ROOMS for path in room.rglob("*.py") if "rulebook" not in path.parts]


def strings() -> set[str]:
    return {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


LONGEST_TITLE = 60
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def kinds_in_code() -> set[str]:
    """First string of every Finding, and the kind argument of every wait and alert requirement."""
    return {kind for kind, _ in calls_in_code()}


def calls_in_code() -> set[tuple[str, str]]:
    """The kinds that calls name by a literal, each with the function called."""
    positions = {"Finding": 0, "Violation": 0, "wait": 1, "wait_until": 1, "from_alert": 1, "_asked": 1}
    found: set[tuple[str, str]] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            position = positions.get(node.func.id)
            if position is None or len(node.args) <= position:
                continue
            first = node.args[position]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add((first.value, node.func.id))
    return found


def test_every_kind_that_is_raised_has_a_row(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        assert kinds_in_code() - {row.kind for row in book.table(AlertKind)} == set()
    assert len(kinds_in_code()) > 30


def test_every_row_is_raised_somewhere(rules: Rulebook) -> None:
    assert {row.kind for row in rules.table(AlertKind)} - strings() == set()


def test_every_window_is_read_somewhere(rules: Rulebook) -> None:
    said = strings()
    keys = {row.key.split(".")[0] for row in rules.table(Window)}

    assert {key for key in keys if not any(key in text for text in said)} == set()


def test_every_transfer_has_its_row_in_the_order_of_the_chain(rules: Rulebook) -> None:
    rows = sorted(rules.table(CustodyRule), key=lambda row: row.order)

    assert [row.step for row in rows] == [step.value for step in CustodyStep]


@pytest.mark.parametrize("table", [AlertKind, Window, CustodyRule])
def test_every_unconfirmed_row_states_what_is_in_doubt(
    rules: Rulebook, table: type[AlertKind | Window | CustodyRule]
) -> None:
    assert [row.id for row in rules.table(table) if row.status == "unconfirmed" and not row.doubt] == []


def test_every_kind_of_the_intake_has_its_row_and_key(rules: Rulebook) -> None:
    """Rule ids and keys are those under which alerts of earlier releases are stored."""
    found = {
        "inbox.event_conflict": (alerts.event_conflict("evt_1"), "event_conflict.evt_1"),
        "inbox.other_patient": (alerts.other_patient("k" * 40), f"other_patient.{'k' * 16}"),
        "inbox.alias_collision": (alerts.alias_collision("coi", "k" * 40, True), f"alias_collision.coi.{'k' * 16}"),
        "inbox.two_encounters": (alerts.two_encounters("enc_1"), "two_encounters.enc_1"),
        "intake.feed_silent": (alerts.feed_silent("/hl7/a"), "feed_silent./hl7/a"),
        "intake.notification_gap": (alerts.notification_gap("s"), "notification_gap.s"),
        "inbox.reply_file_refused": (alerts.reply_file_refused("f" * 24, "torn"), f"reply_file_refused.{'f' * 20}"),
    }
    made = [make.alert(rules, finding, NOW.date(), NOW) for finding, _ in found.values()]

    assert {alert.rule: alert.key for alert in made} == {rule: f"intake.{key}" for rule, (_, key) in found.items()}
    assert all(alert.owner == "integration" and alert.acknowledge_hours == 4 for alert in made)
    assert {row.id for row in rules.table(AlertKind) if not row.id.startswith("alerts.")} == set(found)


@pytest.mark.parametrize("edition", ["current", "guide"])
def test_every_alert_has_a_short_title_an_owner_a_citation_and_a_next_step(
    rules: Rulebook, guide_rules: Rulebook, edition: str
) -> None:
    book = {"current": rules, "guide": guide_rules}[edition]
    rows = book.table(AlertKind)
    made = [make.alert(book, Finding(row.kind, "n", detail="what was found"), NOW.date(), NOW) for row in rows]

    assert [a.kind for a in made if len(a.title) > LONGEST_TITLE or a.title.endswith(".") or a.title[0].islower()] == []
    assert [a.kind for a in made if not (a.owner and a.citation and a.acknowledge_hours > 0)] == []
    assert [a.kind for a in made if not a.action.startswith("What was found. ")] == []
    assert [a.kind for a in made if not a.action.removeprefix("What was found. ").endswith(".")] == []
    assert [row.kind for row in rows if len(row.requirement) > LONGEST_TITLE or row.requirement.endswith(".")] == []


def test_every_gate_row_is_titled_as_the_thing_required(rules: Rulebook) -> None:
    """A requirement made from an alert's row states what is true when met."""
    named = {kind for kind, call in calls_in_code() if call in ("from_alert", "_asked", "Violation")}

    assert {row.kind for row in rules.table(AlertKind) if row.kind in named and not row.requirement} == set()
    assert len(named) > 15
