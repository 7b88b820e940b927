"""Steps of the log: each committed change is logged once, by reference; a rolled-back one is not logged."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from intake.inbox.receive import receive
from store.engine import Database
from store.keys import Keyring
from store.step_log import log
from store.tables import AlertRecord, ClaimVersion
from tests.kit.events import NOW, booking, referral

Lines = list[tuple[str, dict[str, object]]]


def logged(caplog: pytest.LogCaptureFixture) -> Lines:
    lines: Lines = [
        (record.getMessage(), vars(record)["facts"]) for record in caplog.records if record.name == log.name
    ]
    caplog.clear()
    return lines


def test_an_event_is_logged_with_its_disposition(db: Database, keys: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    waiting = receive(
        db, keys, booking() | {"type": "cart.appointment.cancelled", "data": {"appointment_id": "APPT-9"}}, NOW, "a"
    )
    assert waiting.quarantine_id
    assert logged(caplog) == [
        (
            "event.quarantined",
            {
                "quarantine": waiting.quarantine_id,
                "event_id": waiting.event_id,
                "state": "waiting",
                "type": "cart.appointment.cancelled",
                "feed": "a",
            },
        )
    ]

    taken = receive(db, keys, referral(), NOW, "scheduling")
    lines = logged(caplog)
    assert ("encounter.opened", {"encounter": taken.encounter_id}) in lines
    accepted = {
        "encounter": taken.encounter_id,
        "event_id": taken.event_id,
        "sequence": 1,
        "type": "cart.referral.received",
        "feed": "scheduling",
    }
    assert ("event.accepted", accepted) in lines
    assert [facts["event_id"] for step, facts in lines if step == "quarantine.released"] == [waiting.event_id]

    again = receive(db, keys, referral(), NOW + timedelta(hours=1), "scheduling")
    assert again.event_id == taken.event_id
    repeated = {"event_id": taken.event_id, "encounter": taken.encounter_id, "feed": "scheduling"}
    assert logged(caplog) == [("event.duplicate", repeated)]

    receive(db, keys, referral() | {"time": NOW.isoformat()}, NOW, "scheduling")
    assert [step for step, _ in logged(caplog)] == ["event.conflict", "alert.opened"]


def test_values_of_types_and_fields_are_not_logged(
    db: Database, keys: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, log.name)
    receive(db, keys, referral() | {"type": "Quetzalcoatl", "id": "MRN-CANARY-77"}, NOW, "scheduling")
    receive(db, keys, referral(), NOW, "scheduling")
    text = repr(logged(caplog))
    assert "event.quarantined" in text
    assert not [word for word in ("Quetz", "CANARY", "1961", "ORD-1", "ref-1") if word in text]


def test_a_failed_transaction_logs_nothing(db: Database, keys: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    taken = receive(db, keys, referral(), NOW, "scheduling")
    logged(caplog)

    def fail() -> None:
        with db.write() as session:
            session.add(alert(taken.encounter_id))
            session.flush()
            raise RuntimeError("away")

    with pytest.raises(RuntimeError):
        fail()
    assert logged(caplog) == []


def test_claims_and_alerts_are_logged_at_each_change_of_state(
    db: Database, keys: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, log.name)
    encounter = receive(db, keys, referral(), NOW, "scheduling").encounter_id
    logged(caplog)
    with db.write() as session:
        session.add(alert(encounter))
        session.add(claim(encounter))
    with db.write() as session:
        session.get_one(AlertRecord, "alr_1").state = "acknowledged"
        session.get_one(ClaimVersion, (encounter, "C", 1, 1)).state = "transmitted"
    with db.write() as session:
        session.get_one(AlertRecord, "alr_1").escalations = 1
        session.get_one(ClaimVersion, (encounter, "C", 1, 1)).payer = "uhc"
    lines = logged(caplog)
    steps = [step for step, _ in lines]
    assert sorted(steps[:2]) == ["alert.opened", "claim.held"]
    assert sorted(steps[2:4]) == ["alert.acknowledged", "claim.transmitted"]
    assert steps[4:] == ["alert.escalated"]
    sent = next(facts for step, facts in lines if step == "claim.transmitted")
    assert sent == {"encounter": encounter, "claim": "C/1", "version": 1, "sequence": 1}


def alert(encounter: str | None) -> AlertRecord:
    return AlertRecord(
        alert_id="alr_1",
        encounter_id=encounter,
        key="k",
        kind="evidence_missing",
        severity="info",
        owner="coordinator",
        title="t",
        action="a",
        citation="G277",
        rule="r",
        since=NOW,
        opened_at=NOW,
        acknowledge_by=NOW,
    )


def claim(encounter: str | None) -> ClaimVersion:
    assert encounter is not None
    return ClaimVersion(
        encounter_id=encounter,
        letter="C",
        ordinal=1,
        version=1,
        content_hash="h",
        state="held",
        form="UB-04",
        payer="medicare",
        total=1,
        document={},
        sequence=1,
        rulebook_digest="d",
        edition="current",
        built_at=NOW,
    )
