"""A simulated cohort through the real intake and the real decisions, as the metrics then show it. No Temporal between."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.cli.simulate import cohort
from app.metrics import StoreMetrics
from app.metrics.definitions import BOUNDS
from tests.kit.cohort import AT, UNTIL, play
from tests.kit.metrics_store import World

ENCOUNTERS = 24


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples of the metrics by name."""
    directory: Path = tmp_path_factory.mktemp("cohort")
    world = World(directory)
    play(world, ENCOUNTERS, 7, 240)
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.config, world.keys, clock=lambda: AT))
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
