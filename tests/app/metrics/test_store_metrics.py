"""What `/metrics` says of a store, read as Prometheus reads it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import StoreMetrics
from app.metrics.definitions import BOUNDS, BY_NAME, DEFINITIONS, OTHER
from store.tables import AlertDelivery, FeedSeen
from tests.kit.databases import as_owner
from tests.kit.metrics_store import MRN, NAME, NOW, NPI, World, furnish
from tests.kit.postgres import postgres_server


def scrape_text(world: World, **options: object) -> str:
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.config, world.keys, clock=lambda: NOW, **options))  # type: ignore[arg-type]
    return generate_latest(registry).decode()


def scrape(world: World) -> dict[tuple[str, frozenset[str]], float]:
    """Sample values by name and label values."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(scrape_text(world))
        for sample in family.samples
    }


def value(found: dict[tuple[str, frozenset[str]], float], name: str, *labels: str) -> float | None:
    return found.get((name, frozenset(labels)))


def test_an_empty_store_shows_every_family_once_and_is_up(world: World) -> None:
    families = [family.name for family in text_string_to_metric_families(scrape_text(world))]
    assert len(families) == len(set(families))
    assert {name.removesuffix("_total") for name in BY_NAME} == {name.removesuffix("_total") for name in families}
    assert value(scrape(world), "cart_store_up") == 1


def test_a_store_that_does_not_answer_is_down_and_the_scrape_still_answers(world: World) -> None:
    with as_owner(world.db) as connection:
        connection.exec_driver_sql("ALTER TABLE quarantine RENAME TO away")
    found = scrape(world)
    assert value(found, "cart_store_up") == 0
    assert value(found, "cart_inbox_undelivered") is None
    assert value(found, "cart_shelf_up", "rulebook") == 1


def test_encounters_by_stage_hold_and_age(world: World) -> None:
    hold = {"kind": "readiness", "owner": "coordinator", "scope": "encounter", "override": None}
    claim_hold = {"kind": "claim", "owner": "biller", "scope": "claim:A/1", "override": {"role": "x"}}
    world.encounter(holds_open=1, next_due=NOW - timedelta(hours=1), view={"holds": [hold, claim_hold]})
    world.encounter(stage="monitoring", created_at=NOW - timedelta(days=45))
    world.encounter(status="closed", view={"outcome": "completed"})
    found = scrape(world)
    assert value(found, "cart_encounters", "apheresis", "true", "0-7d") == 1
    assert value(found, "cart_encounters", "monitoring", "false", "29-60d") == 1
    assert value(found, "cart_encounters_closed", "completed") == 1
    assert value(found, "cart_encounters_open", "tecartus", "commercial") == 2
    assert value(found, "cart_encounters_overdue", "apheresis") == 1
    assert value(found, "cart_holds", "readiness", "coordinator", "encounter") == 1
    assert value(found, "cart_holds_overridden", "claim") == 1


def test_a_changed_view_is_read_again(world: World) -> None:
    name = world.encounter(view={"holds": []}, decided_sequence=1)
    collector = StoreMetrics(world.db, cache_seconds=0, clock=lambda: NOW)
    list(collector.collect())
    with world.db.write() as session:
        from store.tables import Encounter

        row = session.get_one(Encounter, name)
        row.view = {"holds": [{"kind": "identity", "owner": "cell_lab", "scope": "encounter"}]}
        row.decided_sequence = 2
        session.add(row)
    holds = next(family for family in collector.collect() if family.name == "cart_holds")
    assert [sample.value for sample in holds.samples] == [1.0]


def milestones(*steps: tuple[str, float]) -> dict[str, object]:
    """A view with milestones by name and days ago; one to come is planned."""
    return {
        "milestones": [
            {"name": name, "at": (NOW - timedelta(days=days)).isoformat(), "planned": days < 0} for name, days in steps
        ]
    }


def test_vein_to_vein_counts_the_collection_that_was_infused(world: World) -> None:
    steps = [("referral", 60), ("apheresis", 50), ("apheresis", 25), ("release", 10), ("infusion", 7)]
    name = world.encounter(view=milestones(*steps))
    world.event(name, "cart.manufacturing.failed", NOW)
    found = scrape(world)
    assert value(found, "cart_vein_to_vein_days_sum") == pytest.approx(18)
    assert value(found, "cart_brain_to_vein_days_sum") == pytest.approx(53)
    assert value(found, "cart_collection_to_release_days_sum") == pytest.approx(15)
    assert value(found, "cart_vein_to_vein_days_bucket", "16.0") == 0
    assert value(found, "cart_vein_to_vein_days_bucket", "19.0") == 1
    assert value(found, "cart_inbox_events_total", "cart.manufacturing.failed") == 1


def test_an_encounter_is_as_old_as_its_first_milestone(world: World) -> None:
    world.encounter(stage="infusion", view=milestones(("referral", 33)))
    assert value(scrape(world), "cart_encounters", "infusion", "false", "29-60d") == 1


def test_a_planned_infusion_is_no_observation(world: World) -> None:
    world.encounter(view=milestones(("apheresis", 5), ("infusion", -12)))
    assert value(scrape(world), "cart_vein_to_vein_days_count") == 0


def test_apheresis_to_claim_ends_with_the_first_emission(world: World) -> None:
    name = world.encounter(view=milestones(("apheresis", 12)))
    world.claim(name, "A", 1, state="superseded", emitted_at=NOW - timedelta(days=4), control_number="CE1")
    world.claim(name, "A", 2, emitted_at=NOW - timedelta(days=1))
    assert value(scrape(world), "cart_collection_to_claim_days_sum") == pytest.approx(8)


def test_what_waits_between_receipt_and_decision(world: World) -> None:
    name = world.encounter(decided_sequence=1, next_sequence=4)
    world.event(name, "cart.referral.received", NOW, sequence=1, received=NOW - timedelta(seconds=90))
    hour_ago = NOW - timedelta(hours=1)
    world.event(name, "cart.apheresis.completed", hour_ago, sequence=2, delivered=None)
    found = scrape(world)
    assert value(found, "cart_inbox_undelivered") == 1
    assert value(found, "cart_inbox_undelivered_oldest_seconds") == 3600
    assert value(found, "cart_encounters_undecided") == 1
    assert value(found, "cart_undecided_oldest_seconds") == 3600
    assert value(found, "cart_delivery_lag_seconds", "max") == 90


def test_feeds_quarantine_and_conflicts(world: World) -> None:
    world.event(None, "cart.charge.posted", NOW - timedelta(hours=30), feed="billing")
    event = world.event(None, "cart.charge.posted", NOW - timedelta(hours=2), feed="billing")
    world.conflict(event)
    world.quarantine("waiting", NOW - timedelta(hours=5))
    world.quarantine("released", NOW - timedelta(hours=50))
    world.quarantine("closed", NOW - timedelta(hours=51))
    world.quarantine("aside", NOW - timedelta(hours=52))
    found = scrape(world)
    assert value(found, "cart_feed_last_event_age_seconds", "billing") == 7200
    assert value(found, "cart_feed_lag_seconds", "billing") is None
    assert value(found, "cart_inbox_conflicts_total") == 1
    assert value(found, "cart_quarantine", "waiting") == 1
    assert value(found, "cart_quarantine", "aside") == 1
    assert value(found, "cart_quarantine", "closed") is None
    assert value(found, "cart_quarantine", "released") is None
    assert value(found, "cart_quarantine_oldest_seconds") == 5 * 3600


def test_a_feed_is_as_old_as_its_last_message_and_as_late_as_its_events(world: World) -> None:
    name = world.encounter()
    for minutes in (3, 5, 90):
        world.event(name, "cart.appointment.booked", NOW - timedelta(minutes=minutes), received=NOW, feed="scheduling")
    world.event(name, "cart.appointment.booked", NOW + timedelta(days=3), received=NOW, feed="scheduling")
    world.add(FeedSeen(feed="scheduling", at=NOW - timedelta(seconds=40)))
    world.add(FeedSeen(feed="registration", at=NOW - timedelta(hours=3)))
    found = scrape(world)
    assert value(found, "cart_feed_lag_seconds", "scheduling") == 300
    assert value(found, "cart_feed_last_event_age_seconds", "scheduling") == 0
    assert value(found, "cart_feed_last_event_age_seconds", "registration") == 3 * 3600


def test_alerts_open_overdue_and_ever_raised(world: World) -> None:
    name = world.encounter()
    world.alert(name, "identity_mismatch", acknowledge_by=NOW - timedelta(minutes=1), escalations=1)
    world.alert(name, "identity_mismatch", state="resolved", opened_at=NOW - timedelta(days=30))
    found = scrape(world)
    assert value(found, "cart_alerts_open", "identity_mismatch", "critical", "open") == 1
    assert value(found, "cart_alerts_overdue", "critical", "cell_lab") == 1
    assert value(found, "cart_alerts_escalated", "critical") == 1
    assert value(found, "cart_alerts_oldest_seconds", "critical") == 7200
    assert value(found, "cart_alerts_raised_total", "identity_mismatch") == 2


def test_held_claims_name_owner_edit_and_denial(world: World) -> None:
    name = world.encounter(view={"unbilled": [{"letter": "C", "total": "900.50", "through": "2026-03-20"}]})
    edit = {"id": "edits.units", "severity": "error", "owner": "biller", "denial": 3}
    world.claim(name, "A", 1, state="superseded", emitted_at=None)
    world.claim(
        name,
        "A",
        2,
        state="held",
        total=Decimal("4850.00"),
        document={"statement_through": "2026-05-20", "edits": [edit], "diagnoses": []},
    )
    found = scrape(world)
    assert value(found, "cart_claims_held", "a", "biller") == 1
    assert value(found, "cart_claims_held_oldest_seconds", "a") == 2 * 86400
    assert value(found, "cart_claims_held_edits", "units") == 1
    assert value(found, "cart_claims_held_denials", "3") == 1
    assert value(found, "cart_unbilled_dollars", "a", "held", "8-28d") == 4850
    assert value(found, "cart_unbilled_dollars", "c", "waiting", "61-90d") == 900.5
    assert value(found, "cart_claims_first_version_total", "a", "held") == 1


def test_a_rejected_claim_is_unbilled_and_a_denied_one_is_not(world: World) -> None:
    name = world.encounter()
    world.claim(name, "A", state="rejected")
    world.claim(name, "B", state="denied")
    found = scrape(world)
    assert value(found, "cart_unbilled_claims", "a", "rejected", "8-28d") == 1
    assert value(found, "cart_unbilled_claims", "b", "denied", "8-28d") is None
    assert value(found, "cart_claims_held", "a", "none") is None


def test_coded_grades_of_the_infusion_claim(world: World) -> None:
    name = world.encounter()
    codes = [{"code": "C83.18"}, {"code": "D89.832"}, {"code": "D89.831"}]
    world.claim(name, "C", document={"statement_through": "2026-05-20", "edits": [], "diagnoses": codes})
    found = scrape(world)
    assert value(found, "cart_coded_stays", "crs", "2") == 1
    assert value(found, "cart_coded_stays", "icans", "none") == 1


def test_an_edited_custody_record_is_a_broken_chain(world: World) -> None:
    world.chain(world.encounter(), 3)
    world.chain(world.encounter(), 2, broken=True)
    found = scrape(world)
    assert value(found, "cart_custody_chains", "intact") == 1
    assert value(found, "cart_custody_chains", "broken") == 1
    assert value(found, "cart_custody_records") == 5


def test_a_certificate_that_an_event_renews_or_revokes_replaces_that_of_the_site_file(world: World) -> None:
    text = world.site_file.read_text().replace("2030-12-31", (NOW.date() + timedelta(days=20)).isoformat())
    world.site_file.write_text(text)
    before = scrape(world)
    held = value(before, "cart_certifications", "fact", "any", "30d") or 0
    assert held == sum(certificate.layer == "fact" for certificate in world.site().certifications)
    assert value(before, "cart_certification_days_left", "fact", "any") == 20
    world.certificate("st_mary", "fact", None, date(2029, 1, 1))
    world.certificate("lakeside", "fact", None, None, status="revoked")
    after = scrape(world)
    assert value(after, "cart_certifications", "fact", "any", "30d") == held - 2
    assert value(after, "cart_certifications", "fact", "any", "later") == 1


def test_an_expired_certificate_counts_below_zero(world: World) -> None:
    world.certificate("elsewhere", "authorized_center", "tecartus", NOW.date() - timedelta(days=3))
    found = scrape(world)
    assert value(found, "cart_certifications", "authorized_center", "tecartus", "expired") == 1
    assert value(found, "cart_certification_days_left", "authorized_center", "tecartus") == -3


def test_a_site_file_that_does_not_hold_together_is_down_alone(world: World) -> None:
    world.site_file.write_text("name = ")
    found = scrape(world)
    assert value(found, "cart_shelf_up", "site") == 0
    assert value(found, "cart_shelf_up", "rulebook") == 1
    assert value(found, "cart_store_up") == 1


def test_labels_stay_within_their_bounds_whatever_is_in_the_tables(world: World) -> None:
    name = world.encounter()
    for number in range(3 * BOUNDS["feed"]):
        world.event(None, f"cart.made.up{number % 60}", NOW, feed=f"feed-{number}")
        world.alert(name, f"kind_{number * 2}", owner=f"owner-{number}", acknowledge_by=NOW - timedelta(1))
    families = list(text_string_to_metric_families(scrape_text(world)))
    for family in families:
        for label in {label for sample in family.samples for label in sample.labels} - {"le"}:
            values = {sample.labels[label] for sample in family.samples}
            assert len(values) <= BOUNDS[label], (family.name, label)
    events = next(f for f in families if f.name in ("cart_inbox_events", "cart_inbox_events_total"))
    assert sum(sample.value for sample in events.samples) == 3 * BOUNDS["feed"]
    assert OTHER in {sample.labels["type"] for sample in events.samples}


def test_no_identifier_of_a_person_or_encounter_is_exposed(world: World) -> None:
    name = world.encounter(patient_ref="pat_000123")
    event = world.event(name, "cart.referral.received", NOW)
    world.claim(name, "A")
    text = scrape_text(world)
    for secret in (name, event, "pat_000123", MRN, NAME, NPI, "CE_"):
        assert secret not in text


def test_a_scrape_within_the_cache_reads_nothing_again(world: World) -> None:
    collector = StoreMetrics(world.db, clock=lambda: NOW, cache_seconds=60)
    list(collector.collect())
    world.quarantine("waiting", NOW)
    family = next(family for family in collector.collect() if family.name == "cart_quarantine")
    assert family.samples == []


def test_every_name_keeps_the_conventions() -> None:
    for definition in DEFINITIONS:
        assert definition.name.startswith("cart_")
        assert definition.name.endswith("_total") == (definition.kind == "counter"), definition.name
        assert definition.meaning.endswith("."), definition.name
        assert set(definition.labels) <= set(BOUNDS), definition.name


def test_postgresql_counts_as_sqlite_does(world: World, tmp_path: Path) -> None:
    furnish(world)
    with postgres_server() as server:
        (tmp_path / "other").mkdir()
        other = World(tmp_path / "other", server.create("metrics"))
        furnish(other)
        mine, theirs = scrape(world), scrape(other)
        other.db.close()
    took = ("cart_store_scrape_seconds", frozenset[str]())
    assert mine.pop(took) >= 0
    assert theirs.pop(took) >= 0
    assert mine == theirs
    assert value(theirs, "cart_store_up") == 1


def test_failed_manufactures_by_whether_cells_were_collected_again(world: World) -> None:
    def step(name: str, days: int) -> dict[str, object]:
        return {"name": name, "at": (NOW - timedelta(days=days)).isoformat(), "planned": False}

    first, failed = step("apheresis", 40), step("manufacturing_failed", 30)
    world.encounter(view={"milestones": [first, failed, step("apheresis", 20)]}, decided_sequence=1)
    world.encounter(view={"milestones": [first, failed]}, decided_sequence=1, status="closed")
    found = scrape(world)
    assert value(found, "cart_manufactures_failed", "replaced") == 1
    assert value(found, "cart_manufactures_failed", "open") == 1


def test_documented_grades_count_also_when_nothing_is_coded(world: World) -> None:
    world.encounter(view={"toxicity": {"crs": 2, "icans": None}}, decided_sequence=1)
    world.encounter(view={"toxicity": {"crs": 2, "icans": 0}}, decided_sequence=1, status="closed")
    found = scrape(world)
    assert value(found, "cart_toxicity", "crs", "2") == 2
    assert value(found, "cart_toxicity", "icans", "none") == 1
    assert value(found, "cart_toxicity", "icans", "0") == 1


def test_overdue_assessments_denials_and_ages_of_alerts(world: World) -> None:
    name = world.encounter()
    world.alert(name, "assessment_overdue", severity="warning", opened_at=NOW - timedelta(days=10))
    world.alert(name, "claim_denied", severity="warning", denial=7)
    world.alert(name, "claim_denied", severity="warning", denial=7, state="resolved")
    found = scrape(world)
    assert value(found, "cart_assessments_overdue") == 1
    assert value(found, "cart_claims_denied", "7") == 1
    assert value(found, "cart_alerts_age", "warning", "8-28d") == 1


def test_messages_that_did_not_arrive(world: World) -> None:
    def message(name: str, state: str, attempts: int) -> AlertDelivery:
        return AlertDelivery(
            delivery_id=name,
            destination="pager",
            cause="c",
            change="opened",
            alert_ids=[],
            created_at=NOW - timedelta(minutes=20),
            next_attempt_at=NOW,
            state=state,
            attempts=attempts,
        )

    world.add(message("a", "dead", 9), message("b", "waiting", 0), message("c", "delivered", 1))
    found = scrape(world)
    assert value(found, "cart_alert_deliveries", "pager", "dead") == 1
    assert value(found, "cart_alert_deliveries", "pager", "waiting") == 1
    assert value(found, "cart_alert_deliveries", "pager", "delivered") is None
    assert value(found, "cart_alert_deliveries_oldest_seconds", "pager") is None
    world.add(message("d", "waiting", 1))
    assert value(scrape(world), "cart_alert_deliveries_oldest_seconds", "pager") == 1200
