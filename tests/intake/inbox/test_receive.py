"""The inbox transaction: what a sender may do, and what becomes of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlmodel import col, select

from domain.encounter.facts import fold
from domain.events.governance import CorrectionMade
from intake.inbox.merge_records import merge_records
from intake.inbox.quarantine import release
from intake.inbox.receive import Disposition, ReceiptResult, receive_all
from intake.inbox.retention import let_go
from store.engine import Database
from store.facts import identity_of, load_facts, load_own
from store.identifiers import claim_key, look_up
from store.shared_identifiers import shared_identifiers
from store.tables import (
    NOTICE,
    AlertRecord,
    Alias,
    ClaimVersion,
    Encounter,
    EncounterEvent,
    Inbox,
    InboxConflict,
    Patient,
    Quarantine,
)
from tests.intake.inbox.conftest import LAST, Post
from tests.kit import events as e


def test_a_first_event_opens_an_encounter_and_the_same_again_is_a_duplicate(post: Post) -> None:
    first = post(e.referral())
    assert first.disposition is Disposition.ACCEPTED
    assert first.encounter_id
    assert first.encounter_id.startswith("enc_")
    again = post(e.referral())
    assert (again.disposition, again.event_id, again.encounter_id) == (
        Disposition.DUPLICATE,
        first.event_id,
        first.encounter_id,
    )
    assert post.count(Inbox) == post.count(EncounterEvent) == 1


def test_the_same_id_with_another_body_is_kept_alerted_once_and_not_applied(post: Post) -> None:
    first = post(e.booking())
    other = e.booking(stage="infusion")
    for _ in range(2):
        conflict = post(other)
        assert conflict.disposition is Disposition.CONFLICT
        assert conflict.event_id == first.event_id
    assert post.count(InboxConflict) == 1
    with post.db.read() as session:
        alerts = session.exec(select(AlertRecord).where(AlertRecord.kind == "event_conflict")).all()
        assert [alert.encounter_id for alert in alerts] == [first.encounter_id]
    assert first.encounter_id
    own, _ = load_facts(post.db, post.keys, first.encounter_id, LAST)
    assert own[0].data.stage.value == "apheresis"  # type: ignore[attr-defined]


def test_an_invalid_event_names_its_fields_without_their_values_and_is_kept(post: Post) -> None:
    bad = e.referral()
    bad["data"]["weight_kg"] = "heavy-as-CANARY"
    bad["data"]["nickname"] = "CANARY"
    receipt = post(bad)
    assert receipt.disposition is Disposition.INVALID
    assert {problem.path for problem in receipt.problems} == {"data.weight_kg", "data.nickname"}
    assert "CANARY" not in json.dumps([p.model_dump() for p in receipt.problems])
    post(bad)
    with post.db.read() as session:
        kept = session.exec(select(Quarantine)).all()
        assert [row.state for row in kept] == ["invalid"]


def test_an_unmatched_event_waits_and_is_released_when_its_subject_is_known(post: Post) -> None:
    waiting = post(e.custody(subject="COI-1", coi="COI-1"))
    assert waiting.disposition is Disposition.QUARANTINED
    assert waiting.reasons == ("no encounter is known by this subject",)
    opened = post(e.referral())
    assert opened.encounter_id
    assert post.types(opened.encounter_id) == ["cart.referral.received"]
    post(e.collection(coi="COI-1"))
    assert sorted(post.types(opened.encounter_id)) == [
        "cart.apheresis.completed",
        "cart.custody.recorded",
        "cart.referral.received",
    ]
    again = post(e.custody(subject="COI-1", coi="COI-1"))
    assert (again.disposition, again.event_id) == (Disposition.DUPLICATE, waiting.event_id)


def test_another_body_of_a_retained_event_opens_no_alert_and_is_applied_when_the_first_is_deleted(post: Post) -> None:
    retained = timedelta(days=2)

    def stranger(coi: str, at: datetime) -> ReceiptResult:
        return receive_all(post.db, post.keys, [e.custody(coi=coi)], at, "tests", retain_for=retained)[0]

    assert stranger("COI-1", e.NOW).disposition is Disposition.QUARANTINED
    assert stranger("COI-2", e.NOW).disposition is Disposition.CONFLICT
    assert post.count(AlertRecord) == 0
    with post.db.write() as session:
        assert let_go(session, e.NOW + retained) == 1

    later = stranger("COI-2", e.NOW + retained)

    with post.db.read() as session:
        row = session.exec(select(Quarantine)).one()
    assert (row.quarantine_id, row.state, row.event_id) == (later.quarantine_id, "aside", later.event_id)
    assert row.expires_at == e.NOW + 2 * retained
    opened = post(e.booking())
    post(e.collection(coi="COI-2"))
    assert "cart.custody.recorded" in post.types(str(opened.encounter_id))
    assert stranger("COI-2", e.NOW).event_id == later.event_id


def test_releases_follow_one_another_in_one_transaction(post: Post) -> None:
    """The bag is known by its custody record, which is known by the COI, which comes with the collection."""
    chain = e.custody("c-1", subject="COI-1")
    chain["data"]["bag_id"] = "BAG-1"
    disposition = e.event(
        "d-1",
        "cart.disposition.signed",
        {"bag_id": "BAG-1", "disposition": "destroy", "reason": "out of range", "role": "lab", "signer": "B. Lab"},
        subject="BAG-1",
    )
    post(disposition)
    post(chain)
    opened = post(e.booking())
    assert opened.encounter_id
    with post.db.read() as session:
        assert {row.state for row in session.exec(select(Quarantine))} == {"waiting"}
    post(e.collection())
    assert len(post.types(opened.encounter_id)) == 4
    with post.db.read() as session:
        assert {row.state for row in session.exec(select(Quarantine))} == {"released"}


def test_identity_stays_in_the_vault_and_is_restored_when_read(post: Post) -> None:
    receipt = post(e.referral())
    assert receipt.encounter_id
    with post.db.read() as session:
        row = session.exec(select(Inbox)).one()
        assert b"CANARY" not in row.body
        assert b"CANARY" not in session.exec(select(Patient)).one().identity
        stored = json.loads(post.keys.open(row.body, f"inbox.body:{row.event_id}"))
        assert "CANARY" not in json.dumps(stored)
        who = identity_of(session, post.keys, receipt.encounter_id)
    assert who is not None
    assert who["patient"]["name"]["family"] == "Quetzalcoatl"
    assert who["member_id"] == "1EG4-CANARY-MEMBER"


def test_a_correction_of_a_referral_keeps_its_identity_apart(post: Post) -> None:
    first = e.referral()
    receipt = post(first)
    replacement = json.loads(json.dumps(first["data"]))
    replacement["patient"]["name"]["family"] = "Corrected"
    post(e.correction("corr-r", first, replacement=replacement))
    assert receipt.encounter_id
    own, _ = load_facts(post.db, post.keys, receipt.encounter_id, LAST)
    assert own[0].data.patient.name.family == "Quetzalcoatl"  # type: ignore[attr-defined]
    with post.db.read() as session:
        who = identity_of(session, post.keys, receipt.encounter_id)
    assert who is not None
    assert who["patient"]["name"]["family"] == "Corrected"


def test_a_patient_is_known_by_record_number_and_facility_but_each_product_has_its_encounter(post: Post) -> None:
    first = post(e.referral("r-1", "ORD-1"))
    same = post(e.referral("r-2", "ORD-2"))
    other = post(e.referral("r-3", "ORD-3", product="yescarta"))
    assert first.encounter_id == same.encounter_id
    assert other.encounter_id != first.encounter_id
    assert post.count(Patient) == 1


def test_a_holder_event_is_in_every_open_encounter_and_in_those_opened_later(post: Post) -> None:
    early = post(e.booking("b-1", "ORD-1", "A-1"))
    post(e.certificate())
    late = post(e.booking("b-2", "ORD-2", "A-2"))
    for receipt, expected in ((early, 2), (late, 1)):
        assert receipt.encounter_id
        with post.db.read() as session:
            rows = session.exec(select(EncounterEvent).where(EncounterEvent.encounter_id == receipt.encounter_id)).all()
        assert len(rows) == expected
        own, holders = load_facts(post.db, post.keys, receipt.encounter_id, LAST)
        assert [fact.type for fact in own] == ["cart.appointment.booked"]
        assert [fact.type for fact in holders] == ["cart.certification.changed"]


def test_a_retracted_holder_event_no_longer_counts_in_any_encounter(post: Post) -> None:
    certificate = e.certificate()
    waiting = post(e.correction("corr-c", certificate, subject="st_mary"))
    assert waiting.disposition is Disposition.QUARANTINED
    opened = post(e.booking())
    post(certificate)
    assert opened.encounter_id
    own, holders = load_facts(post.db, post.keys, opened.encounter_id, LAST)
    assert holders == []
    assert [fact.type for fact in own] == ["cart.appointment.booked"]
    with post.db.read() as session:
        rows = session.exec(select(EncounterEvent).order_by(col(EncounterEvent.sequence))).all()
    assert [row.type for row in rows] == [
        "cart.appointment.booked",
        "cart.certification.changed",
        "cart.correction.made",
    ]


def test_a_correction_finds_its_event_whatever_its_own_subject_is(post: Post) -> None:
    opened = post(e.booking())
    fixed = {**e.booking()["data"], "setting": "inpatient"}
    corrected = post(e.correction("corr-1", e.booking(), replacement=fixed, subject="something else"))
    assert corrected.encounter_id == opened.encounter_id
    own, _ = load_facts(post.db, post.keys, str(opened.encounter_id), LAST)
    booked = [fact for fact in fold(own).all if not isinstance(fact.data, CorrectionMade)]
    assert booked[0].data.setting.value == "inpatient"  # type: ignore[attr-defined]


def test_a_merge_after_a_collision_has_both_encounters_decide_again(post: Post) -> None:
    """Two registrations of one patient, one collection: the block ends with the merge, not with whatever happens next."""
    first = post(e.referral("r-1", "ORD-1", mrn="M-1")).encounter_id
    second = post(e.referral("r-2", "ORD-2", mrn="M-2")).encounter_id
    post(e.collection("aph-1", "ORD-1", coi="COI-1", din="DIN-1"))
    post(e.collection("aph-2", "ORD-2", coi="COI-1", din="DIN-2"))
    assert carried_twice(post, first) == carried_twice(post, second) == {("coi", "COI-1")}
    before = {one: len(sequences(post, one)) for one in (first, second)}
    center = str(e.referral()["data"]["facilities"]["infusion"])
    merge_records(post.db, post.keys, "M-1", "M-2", center, "registration", e.NOW)
    assert carried_twice(post, first) == carried_twice(post, second) == frozenset()
    for one in (first, second):
        assert sequences(post, one)[before[one] :] == [NOTICE]
    merge_records(post.db, post.keys, "M-1", "M-2", center, "registration", e.NOW)
    assert len(sequences(post, first)) == before[first] + 1


def test_a_replacement_that_does_not_fit_its_event_is_refused_with_its_path(post: Post) -> None:
    post(e.booking())
    fixed = {**e.booking()["data"], "starts_at": "next Tuesday"}
    receipt = post(e.correction("corr-1", e.booking(), replacement=fixed))
    assert receipt.disposition is Disposition.INVALID
    assert [problem.path for problem in receipt.problems] == ["data.replacement.starts_at"]


def test_an_identifier_of_two_encounters_stays_with_the_first_and_opens_an_alert(post: Post) -> None:
    first = post(e.booking("b-1", "ORD-1", "A-1"))
    second = post(e.booking("b-2", "ORD-2", "A-2"))
    post(e.collection("aph-1", "ORD-1", coi="COI-1", din="DIN-1"))
    post(e.collection("aph-2", "ORD-2", coi="COI-1", din="DIN-2"))
    with post.db.read() as session:
        assert look_up(session, post.keys, "COI-1") == [first.encounter_id]
        alert = session.exec(select(AlertRecord).where(AlertRecord.kind == "alias_collision")).one()
        assert (alert.encounter_id, alert.severity) == (second.encounter_id, "critical")
        assert session.exec(select(Alias).where(Alias.encounter_id == second.encounter_id, Alias.kind == "din")).one()


def sequences(post: Post, encounter: str | None) -> list[str]:
    with post.db.read() as session:
        query = select(EncounterEvent.type).where(EncounterEvent.encounter_id == encounter)
        return list(session.exec(query.order_by(col(EncounterEvent.sequence))))


def carried_twice(post: Post, encounter: str | None) -> frozenset[tuple[str, str]]:
    with post.db.read() as session:
        own = load_own(session, post.keys, str(encounter))
        return shared_identifiers(session, post.keys, str(encounter), own)


def test_an_identifier_of_two_patients_is_known_to_both_until_one_is_corrected(post: Post) -> None:
    first = post(e.booking("b-1", "ORD-1", "A-1")).encounter_id
    second = post(e.booking("b-2", "ORD-2", "A-2")).encounter_id
    post(e.collection("aph-1", "ORD-1", coi="COI-1", din="DIN-1"))
    wrong = e.collection("aph-2", "ORD-2", coi="COI-1", din="DIN-2")
    post(wrong)

    assert carried_twice(post, first) == carried_twice(post, second) == {("coi", "COI-1")}
    assert sequences(post, first)[-1] == NOTICE
    own, _ = load_facts(post.db, post.keys, str(first), LAST)
    assert len(own) == 2, "a notice is no fact of the other patient's"
    assert post(wrong).encounter_id == second, "the same again still finds its own encounter"

    fixed = {**wrong["data"], "coi_id": "COI-2"}
    assert post(e.correction("corr-1", wrong, replacement=fixed)).encounter_id == second
    assert carried_twice(post, first) == carried_twice(post, second) == frozenset()
    assert sequences(post, first)[-2:] == [NOTICE, NOTICE]


def test_two_encounters_of_one_patient_may_carry_one_identifier(post: Post) -> None:
    first = post(e.referral("ref-1", "ORD-1")).encounter_id
    with post.db.write() as session:
        session.get_one(Encounter, str(first)).status = "closed"
    second = post(e.referral("ref-2", "ORD-2")).encounter_id
    assert first != second
    post(e.collection("aph-1", "ORD-1"))
    post(e.collection("aph-2", "ORD-2"))
    assert carried_twice(post, first) == carried_twice(post, second) == frozenset()
    assert NOTICE not in sequences(post, first)


def test_a_closed_encounter_accepts_a_late_document(post: Post) -> None:
    opened = post(e.booking())
    with post.db.write() as session:
        session.get_one(Encounter, str(opened.encounter_id)).status = "closed"
    late = post(e.collection())
    assert late.encounter_id == opened.encounter_id


def test_an_acknowledgement_waits_for_its_claim_by_control_number(post: Post) -> None:
    opened = post(e.booking())
    ack = e.event(
        "ack-1",
        "cart.claim.acknowledged",
        {"control_number": "CLM-9", "kind": "277CA", "accepted": True},
        subject="ORD-1",
    )
    assert post(ack).disposition is Disposition.QUARANTINED
    with post.db.write() as session:
        session.add(_claim(str(opened.encounter_id), "CLM-9"))
        session.flush()
        assert release(session, post.keys, [claim_key(post.keys, "CLM-9")], e.NOW) == 1
    assert post.types(str(opened.encounter_id)) == ["cart.appointment.booked", "cart.claim.acknowledged"]


def _claim(encounter: str, control_number: str) -> ClaimVersion:
    return ClaimVersion(
        encounter_id=encounter,
        letter="A",
        ordinal=1,
        version=1,
        content_hash="x",
        state="emitted",
        form="UB-04",
        payer="medicare",
        total=0,
        document={},
        sequence=1,
        rulebook_digest="x",
        edition="current",
        built_at=e.NOW,
        control_number=control_number,
    )


def test_the_same_order_with_another_patient_matches_no_encounter(post: Post, db: Database) -> None:
    first = post(e.referral())
    other = e.referral()
    other = {
        **other,
        "id": "other-patient",
        "data": {**other["data"], "patient": {**other["data"]["patient"], "mrn": "MRN-9"}},
    }
    second = post(other)
    assert second.disposition is Disposition.QUARANTINED
    assert "record number" in second.reasons[0]
    with db.read() as session:
        alerts = session.exec(select(AlertRecord).where(AlertRecord.kind == "other_patient")).all()
        known = identity_of(session, post.keys, str(first.encounter_id))
    assert [(alert.severity, alert.encounter_id) for alert in alerts] == [("critical", first.encounter_id)]
    assert known is not None
    assert known["patient"]["mrn"] != "MRN-9"


def test_an_appointment_number_of_another_order_matches_no_encounter(post: Post) -> None:
    first = post(e.booking())
    again = post({**e.booking(), "id": "other-booking", "source": "urn:other:system", "subject": "ORDER-OF-ANOTHER"})
    assert again.disposition is Disposition.ACCEPTED
    assert again.encounter_id != first.encounter_id
