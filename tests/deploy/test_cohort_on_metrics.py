"""A simulated cohort through the real intake and the real decisions, as the metrics then show it. No Temporal between."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import select

from activities.alerts import reconcile_alerts
from activities.claims import keep_claim
from activities.encounter import view_of
from activities.mind import Mind
from activities.store.chain import append_custody
from activities.store.inbox import Disposition, receive
from activities.store.tables import Encounter
from app.metrics import StoreMetrics
from app.metrics.definitions import BOUNDS
from app.simulate import cohort
from domain.plan import ClaimQuestion
from tests.deploy.store_world import World

UNTIL = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
ENCOUNTERS = 24


def play(world: World) -> None:
    """Every event through the inbox, then one decision for each encounter with what follows from it."""
    for events in cohort(ENCOUNTERS, 7, 240, UNTIL):
        for event in events:
            receipt = receive(world.db, world.keys, event, AT, "simulation")
            assert receipt.disposition is Disposition.ACCEPTED, (event["id"], receipt)
    mind = Mind(world.db, world.keys, world.shelf)
    with world.db.read() as session:
        last = {row.encounter_id: row.next_sequence - 1 for row in session.exec(select(Encounter))}
    for name, sequence in last.items():
        decide(world, mind, name, sequence)


def decide(world: World, mind: Mind, name: str, sequence: int) -> None:
    decision = mind.decision(name, sequence, AT)
    with world.db.write() as session:
        append_custody(session, world.keys, name, decision.custody, AT)
        reconcile_alerts(session, name, decision.alerts, AT)
        for claim in decision.claims:
            if claim.ready:
                asked = ClaimQuestion(
                    encounter=name, letter=claim.letter, ordinal=claim.ordinal, up_to_sequence=sequence, now=AT
                )
                keep_claim(session, asked, claim)
        row = session.get_one(Encounter, name)
        row.status = "closed" if decision.outcome else "open"
        row.stage, row.product = decision.stage.value, decision.product
        row.payer_class, row.holds_open = decision.payer_class, sum(hold.stands for hold in decision.holds)
        row.decided_sequence, row.decided_at, row.view = sequence, AT, view_of(decision)
        session.add(row)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples of the metrics by name."""
    directory: Path = tmp_path_factory.mktemp("cohort")
    world = World(directory)
    play(world)
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.shelf, world.keys, clock=lambda: AT))
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    world.db.close()
    return found


Shown = dict[str, list[tuple[dict[str, str], float]]]


def total(shown: Shown, name: str, **labels: str) -> float:
    return sum(value for mine, value in shown.get(name, ()) if labels.items() <= mine.items())


def test_every_encounter_is_counted_once(shown: Shown) -> None:
    counted = total(shown, "cart_encounters") + total(shown, "cart_encounters_closed")
    assert counted == len(list(cohort(ENCOUNTERS, 7, 240, UNTIL)))
    assert total(shown, "cart_encounters_undecided") == 0


def test_encounters_stand_in_several_stages(shown: Shown) -> None:
    assert len({labels["stage"] for labels, _ in shown["cart_encounters"]}) >= 2


def test_vein_to_vein_lies_in_the_span_that_was_drawn(shown: Shown) -> None:
    count = total(shown, "cart_vein_to_vein_days_count")
    assert count > 5
    assert 16 <= total(shown, "cart_vein_to_vein_days_sum") / count <= 31


def test_every_collection_is_billed_and_every_chain_holds(shown: Shown) -> None:
    assert total(shown, "cart_claims", letter="a") > 0
    assert total(shown, "cart_custody_chains", state="broken") == 0
    assert total(shown, "cart_custody_chains", state="intact") > 0


def test_coded_grades_are_shown_for_both_syndromes(shown: Shown) -> None:
    assert {labels["syndrome"] for labels, _ in shown["cart_coded_stays"]} == {"crs", "icans"}
    assert len({labels["grade"] for labels, _ in shown["cart_coded_stays"]}) >= 3


def test_no_label_goes_beyond_its_bound(shown: Shown) -> None:
    for name, samples in shown.items():
        for label in {label for labels, _ in samples for label in labels} - {"le"}:
            assert len({labels[label] for labels, _ in samples}) <= BOUNDS[label], (name, label)


def test_no_identity_of_the_cohort_is_shown(shown: Shown) -> None:
    text = str(shown)
    referral = next(event for events in cohort(1, 7, 240, UNTIL) for event in events)
    patient = referral["data"]["patient"]
    for secret in (
        patient["mrn"],
        patient["name"]["family"],
        referral["data"]["coverage"]["member_id"],
        referral["subject"],
    ):
        assert secret not in text
