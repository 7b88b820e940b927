"""The watch: what no encounter asks about is found, escalated and resolved, through the real workflow and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from app.process import watch_schedule
from app.process.watch_schedule import keep_schedule
from domain.alerts import make
from domain.alerts.model import Alert, Severity
from domain.alerts.watch import Deadline, UnderWay, WatchedCertificate, bands, near, watch_findings
from domain.rulebook import Rulebook
from store.tables import AlertRecord, ClaimVersion, Encounter
from tests.kit.waiting import eventually_async
from tests.kit.worker import World
from workflows.names import TASK_QUEUE, WATCH_EVERY, WATCH_SCHEDULE, WATCH_TYPE

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def watch_alerts(
    certificates: list[WatchedCertificate], rules: Rulebook, under_way: Sequence[UnderWay] = ()
) -> list[Alert]:
    return [make.alert(rules, found, NOW.date(), NOW) for found in watch_findings(certificates, rules, NOW, under_way)]


@pytest.mark.parametrize(
    ("left", "kind", "band"),
    [
        (91, None, None),
        (90, "certificate_ending", "90d"),
        (61, "certificate_ending", "90d"),
        (60, "certificate_ending", "60d"),
        (30, "certificate_ending", "30d"),
        (7, "certificate_ending", "7d"),
        (0, "certificate_ending", "7d"),
        (-1, "certificate_expired", "expired"),
    ],
)
def test_a_certificate_is_reported_in_its_narrowest_range_of_days(
    rules: Rulebook, left: int, kind: str | None, band: str | None
) -> None:
    certificate = WatchedCertificate("fact", None, "a" * 40, NOW.date() + timedelta(days=left))
    found = [alert for alert in watch_alerts([certificate], rules) if alert.kind.startswith("certificate")]
    assert [alert.kind for alert in found] == ([kind] if kind else [])
    assert all(alert.key.endswith(f".{band}") and alert.owner and alert.action for alert in found)


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_a_certificate_has_one_alert_or_none_and_one_without_an_end_has_none(rules: Rulebook, end: date) -> None:
    certificates = [WatchedCertificate("fact", None, "a" * 40, end), WatchedCertificate("fact", None, "b" * 40, None)]
    found = [alert for alert in watch_alerts(certificates, rules) if alert.kind.startswith("certificate")]
    assert len(found) == ((end - NOW.date()).days <= max(bands(rules, NOW.date())))


async def test_the_schedule_is_made_once_and_looks_at_once(world: World) -> None:
    await keep_schedule(world.server.client)
    await keep_schedule(world.server.client)

    handle = world.server.client.get_schedule_handle(WATCH_SCHEDULE)
    await handle.trigger()

    async def acted() -> bool:
        return (await handle.describe()).info.num_actions >= 1

    await eventually_async(acted, "the schedule acted")
    await handle.delete()


def under_way(encounter: str, planned: date | None, **changes: Any) -> UnderWay:
    values: dict[str, Any] = {"product": "p", "holders": frozenset({"a" * 40}), "planned": planned} | changes
    return UnderWay(encounter, **values)


def test_the_end_of_a_certificate_names_the_encounters_planned_after_it(rules: Rulebook) -> None:
    end = NOW.date() + timedelta(days=20)
    certificate = WatchedCertificate("fact", None, "a" * 40, end)
    before, after = under_way("enc_b", end), under_way("enc_a", end + timedelta(days=1))
    others = [
        under_way("enc_c", end + timedelta(days=9), holders=frozenset({"b" * 40})),
        under_way("enc_d", None, holders=frozenset({"b" * 40}), missing_layers=frozenset({"fact"})),
    ]
    (found,) = (a for a in watch_alerts([certificate], rules, [before, after, *others]) if a.layer == "fact")
    assert found.severity is Severity.CRITICAL
    assert "20 days left; 3 encounters in progress need the certificate, 1 planned after the last day." in found.action
    assert found.action.endswith(f"Planned after the last day: enc_a ({end + timedelta(days=1)}).")
    (calm,) = (a for a in watch_alerts([certificate], rules, [before]) if a.layer == "fact")
    assert calm.severity is Severity.WARNING
    assert "1 encounter in progress needs the certificate" in calm.action
    (idle,) = (a for a in watch_alerts([certificate], rules, others[:1]) if a.layer == "fact")
    assert "no encounter in progress needs the certificate" in idle.action


def test_a_certificate_of_another_product_concerns_no_encounter(rules: Rulebook) -> None:
    certificate = WatchedCertificate("fact", "another", "a" * 40, NOW.date() + timedelta(days=20))
    (found,) = (a for a in watch_alerts([certificate], rules, [under_way("enc", None)]) if a.layer == "fact")
    assert "no encounter in progress needs the certificate" in found.action


@pytest.mark.parametrize(("topic", "days"), [("authorization", 3), ("claim", 7)])
def test_a_deadline_is_reported_when_it_is_near_and_not_before_or_after(rules: Rulebook, topic: str, days: int) -> None:
    def reported(left: int) -> list[str]:
        due = NOW.date() + timedelta(days=left)
        return [alert.kind for alert in near([Deadline(topic, "n", "t", due)], rules, NOW)]

    near_by = [f"{topic}_deadline_near"]
    assert [reported(left) for left in (days + 1, days, 0, -1)] == [[], near_by, near_by, []]


async def test_an_existing_schedule_is_updated_to_this_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = world.server.client
    handle = client.get_schedule_handle(WATCH_SCHEDULE)
    monkeypatch.setattr(watch_schedule, "WATCH_EVERY", timedelta(hours=6))
    await keep_schedule(client)
    await handle.pause(note="maintenance")
    monkeypatch.undo()
    await keep_schedule(client)
    there = (await handle.describe()).schedule
    await handle.delete()
    assert [each.every for each in there.spec.intervals] == [WATCH_EVERY]
    assert (there.state.paused, there.state.note) == (True, "maintenance")


async def test_a_schedule_that_is_right_is_left_alone(world: World) -> None:
    await keep_schedule(world.server.client)
    handle = world.server.client.get_schedule_handle(WATCH_SCHEDULE)
    before = (await handle.describe()).info.last_updated_at
    await keep_schedule(world.server.client)
    after = (await handle.describe()).info.last_updated_at
    await handle.delete()
    assert before == after


async def test_the_watch_finds_deadlines_in_the_store_and_ends_what_is_over(world: World) -> None:
    now = datetime.now(UTC)
    name = "enc_watch_deadlines"
    deadline = {
        "key": "authorization_decision_overdue:x",
        "kind": "authorization_decision_overdue",
        "due": (now + timedelta(days=1)).isoformat(),
        "title": "the payer's decision",
    }
    claim = ClaimVersion(
        encounter_id=name,
        letter="A",
        ordinal=1,
        version=1,
        content_hash="h",
        state="denied",
        form="UB-04",
        payer="medicare",
        total=Decimal(1),
        document={},
        sequence=1,
        rulebook_digest="d",
        edition="current",
        built_at=now,
        standing={"appeal_by": (now + timedelta(days=2)).date().isoformat()},
    )
    with world.db.write() as session:
        session.add(Encounter(encounter_id=name, created_at=now, view={"deadlines": [deadline]}))
        session.flush()
        session.add(claim)

    async def look(identifier: str) -> set[tuple[str, str]]:
        run = await world.server.client.start_workflow(WATCH_TYPE, id=identifier, task_queue=TASK_QUEUE)
        await run.result()
        return {(row.kind, row.action.split(". ", 1)[0]) for row in world.alerts(name).values()}

    assert (
        await look("watch-1")
        == await look("watch-2")
        == {
            ("authorization_deadline_near", f"The payer's decision, {(now + timedelta(days=1)).date()}"),
            ("claim_deadline_near", f"Claim A/1: the time to appeal ends, {(now + timedelta(days=2)).date()}"),
        }
    )
    with world.db.write() as session:
        session.get_one(Encounter, name).view = {"deadlines": []}
        session.get_one(ClaimVersion, (name, "A", 1, 1)).state = "paid"
    assert await look("watch-3") == set()
    with world.db.write() as session:
        for row in (*session.exec(select(AlertRecord).where(AlertRecord.encounter_id == name)),):
            session.delete(row)
        session.delete(session.get_one(ClaimVersion, (name, "A", 1, 1)))
        session.flush()
        session.delete(session.get_one(Encounter, name))
