"""The six encounters, decided by the domain alone: checkpoints, end, closure, whatever the order of arrival."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.tools.scenario_expectations import Scenario, differences, scenarios
from domain.decision.model import Decision
from domain.encounter.facts import fold
from domain.encounter.record import Record
from domain.encounter.timeline import vein_to_vein_days
from domain.rulebook import Rulebook
from domain.site import Site
from intake.scenario_feeds import expand
from tests.kit.feeds import ANCHOR, decided, fact_of

SCENARIOS = {scenario.feed.name: scenario for scenario in scenarios()}
NAMES = sorted(SCENARIOS)


class Player:
    """An encounter as the inbox would give it to the domain. Live: each event is received at its own time."""

    def __init__(self, scenario: Scenario, site: Site, rules: Rulebook, anchor: date = ANCHOR) -> None:
        self.scenario, self.site, self.rules, self.anchor = scenario, site, rules, anchor

    def events(self, parts: Iterable[str] | None = None) -> list[dict[str, Any]]:
        return expand(self.scenario.feed, self.anchor, parts=None if parts is None else set(parts))

    def decide(self, events: Iterable[Mapping[str, Any]], now: datetime, received: datetime | None = None) -> Decision:
        return decided(events, self.site, self.rules, now, received)

    def at(self, day: int, hour: int = 23) -> datetime:
        return datetime.combine(self.anchor + timedelta(days=day), time(hour), UTC)

    def last_day(self) -> int:
        return max(event.day for event in self.scenario.feed.events)


def seen(decision: Decision, days: int | None = None) -> dict[str, Any]:
    """The decision as the HTTP interface would answer; a claim that is ready and without errors is emitted."""
    return {
        "stage": decision.stage.value,
        "outcome": decision.outcome.value if decision.outcome else None,
        "cleared": [stage.value for stage in decision.cleared],
        "holds": [
            {name: getattr(hold.requirement, name) for name in ("rule", "kind", "layer")} | {"override": hold.override}
            for hold in decision.holds
        ],
        "alerts": [{"kind": alert.kind, "severity": alert.severity.value} for alert in decision.alerts],
        "claims": {
            claim.key: claim.model_dump(mode="json") | {"state": "held" if claim.errors else "emitted"}
            for claim in decision.claims
            if claim.ready
        },
        "vein_to_vein_days": days,
        "custody_verified": True,
    }


@pytest.fixture(params=NAMES)
def player(request: pytest.FixtureRequest, site: Site, rules: Rulebook) -> Player:
    return Player(SCENARIOS[request.param], site, rules)


def test_the_scenario_ends_as_expected(player: Player) -> None:
    decision = player.decide(player.events(), player.at(player.last_day()))
    days = vein_to_vein_days(Record(fold(fact_of(event) for event in player.events())), player.site)

    assert differences(player.scenario.expected["end"], seen(decision, days), player.anchor) == []


def test_the_encounter_closes_when_its_windows_have_passed(player: Player) -> None:
    wanted = player.scenario.expected["closed"]

    decision = player.decide(player.events(), player.at(wanted["by_day"]))

    assert differences(wanted, seen(decision), player.anchor) == []
    assert decision.next_deadline is None


def test_a_feed_whose_days_are_still_to_come_gives_the_same_claims(player: Player) -> None:
    """A future `time` is legal: posted whole on the day of the referral, it shows what it will show at its end."""
    today = player.at(player.scenario.feed.first_day)

    decision = player.decide(player.events(), today, today)

    expected = {key: player.scenario.expected["end"][key] for key in ("stage", "holds", "open_alerts", "claims")}
    assert differences(expected, seen(decision), player.anchor) == []


def test_a_backfilled_feed_ends_like_a_live_one(player: Player) -> None:
    received, now = player.at(60), player.at(62)

    late = player.decide(player.events(), now, received)

    live = player.decide(player.events(), now)
    assert differences(player.scenario.expected["closed"], seen(late), player.anchor) == []
    assert [claim.content_hash for claim in late.claims] == [claim.content_hash for claim in live.claims]
    assert late.custody == live.custody


@pytest.mark.parametrize("name", [name for name in NAMES if SCENARIOS[name].checkpoints])
def test_the_scenario_waits_at_its_checkpoint(name: str, site: Site, rules: Rulebook) -> None:
    player = Player(SCENARIOS[name], site, rules)
    for part, wanted in player.scenario.checkpoints.items():
        decision = player.decide(player.events({part}), player.at(wanted["day"]))

        assert differences(wanted, seen(decision), player.anchor) == []


@pytest.mark.parametrize("name", NAMES)
def test_any_of_500_orders_with_repetition_is_the_same_record(name: str) -> None:
    """The facts of any order are the same value, and what is decided is a function of them alone."""
    facts = [fact_of(event) for event in expand(SCENARIOS[name].feed, ANCHOR)]
    expected = fold(facts)

    @settings(max_examples=500, deadline=None, database=None)
    @given(chance=st.randoms(use_true_random=True), again=st.integers(0, 30))
    def check(chance: random.Random, again: int) -> None:
        arrived = facts + chance.choices(facts, k=again)
        chance.shuffle(arrived)
        assert fold(arrived) == expected

    check()


@pytest.mark.parametrize("seed", range(2))
def test_order_and_repetition_of_arrival_change_nothing(player: Player, seed: int) -> None:
    events, now = player.events(), player.at(player.last_day())
    shuffled = events + random.Random(seed).choices(events, k=10)
    random.Random(seed).shuffle(shuffled)

    assert player.decide(shuffled, now) == player.decide(events, now)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_any_part_of_a_feed_changes_nothing(player: Player, seed: int) -> None:
    """Encounters are decided on incomplete feeds; there, too, the order of arrival does not matter."""
    chance = random.Random(seed)
    events = chance.sample(player.events(), k=chance.randint(1, len(player.events())))
    now = player.at(chance.randint(player.scenario.feed.first_day, player.last_day()))

    assert player.decide(chance.sample(events * 2, k=2 * len(events)), now) == player.decide(events, now)


def test_a_live_feed_performs_nothing_without_clearance(player: Player) -> None:
    """No performed service is without clearance on any evening, and documents and certificates hold in the first part only."""
    first_part = {event.day for event in player.scenario.feed.events if event.part == "first"}
    held: set[int] = set()
    for day in sorted({event.day for event in player.scenario.feed.events}):
        until = player.at(day)
        known = [event for event in player.events() if datetime.fromisoformat(event["time"]) <= until]
        decision = player.decide(known, until)
        assert "performed_uncleared" not in {alert.kind for alert in decision.alerts}, day
        if any(hold.is_open and hold.requirement.kind in ("readiness", "eligibility") for hold in decision.holds):
            held.add(day)
    assert held == first_part
