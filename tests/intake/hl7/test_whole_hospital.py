"""A feed of the whole hospital: unmatched patients' messages neither stop it nor are kept; nothing of a patient's is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from sqlmodel import select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from domain.events.care import AdmissionClass
from intake.delivery import Deliverer
from intake.faults import Unsupported
from intake.hl7.mapping_check import check
from intake.hl7.message import read
from intake.hl7.receiver import Hl7Receiver
from intake.hl7.translate import translate
from intake.inbox.receive import receive, replay
from intake.replay import reader_of
from intake.site_mapping import REORDERED, SiteMapping
from store.engine import Database
from store.facts import load_facts
from store.feeds import last_seen
from store.keys import Keyring
from store.tables import AlertRecord, Encounter, Quarantine, QuarantineKey
from tests.kit import events as e
from tests.kit.files import HL7_FILE
from tests.kit.hl7 import merge, stay
from tests.kit.mllp import recorded

STORY = recorded("story")
HERE, ELSEWHERE = b"8W^801^A^STMARY", b"ORTHO^2^A^STMARY"
DISCHARGE = b"|" * 17 + b"HOME"


class Hospital:
    """A door for a feed of the whole hospital, and what it kept."""

    def __init__(self, db: Database, keys: Keyring, mapping: SiteMapping) -> None:
        self.db, self.keys = db, keys
        self.mapping = mapping.model_copy(update={"unmapped": "ignore"})
        self.now = e.NOW
        self.door = Hl7Receiver(db, keys, self.mapping, lambda: self.now, lambda: None)

    def take(self, data: bytes) -> str:
        """The acknowledgement's code and text."""
        answer = read(self.door.take(data))
        return f"{answer.get('MSA-1')} {answer.get('MSA-3') or ''}".strip()

    def kept(self) -> list[str]:
        with self.db.read() as session:
            return sorted(row.state for row in session.exec(select(Quarantine)))

    def stays(self) -> list[str]:
        """The stays of the one encounter, with their ends."""
        with self.db.read() as session:
            encounter = session.exec(select(Encounter.encounter_id)).one()
        own, _ = load_facts(self.db, self.keys, encounter, 10_000)
        return [f"{one.id} {one.ended_at is not None}" for one in Record(fold(own)).stays]

    def refer(self, mrn: str = "MRN-CANARY-77") -> None:
        receive(self.db, self.keys, e.referral(mrn=mrn), self.now, "t")


@pytest.fixture
def hospital(store: tuple[Database, Keyring], mapping: SiteMapping) -> Hospital:
    return Hospital(*store, mapping)


def at(place: bytes, trigger: str, visit: str = "VISIT-2", number: int = 1, **more: str) -> bytes:
    data = stay(trigger, visit=visit, **more).replace(HERE, place)
    data = data.replace(b"|77|P|", f"|{number}|P|".encode()).replace(b"20260401180000", b"202604011800%02d" % number)
    data = data.replace(b"20260401173000", b"202604011700%02d" % number)
    return data.replace(f"{visit}\r".encode(), visit.encode() + DISCHARGE + b"\r") if trigger == "A03" else data


def ignored(feed: str) -> float:
    return REGISTRY.get_sample_value("cart_feed_ignored_total", {"feed": feed}) or 0.0


@pytest.mark.parametrize("trigger", ["ADT^A02", "ADT^A05", "ADT^A31", "SIU^S23", "ORU^R01", "ADT^Z99"])
def test_a_trigger_that_is_not_used_is_acknowledged_counted_and_not_kept(hospital: Hospital, trigger: str) -> None:
    before = ignored("st-mary-registration")
    message = stay("A01").replace(b"ADT^A01", trigger.encode())
    assert hospital.take(message) == "AA nothing to do with CAR-T"
    assert ignored("st-mary-registration") == before + 1
    assert hospital.kept() == []
    with hospital.db.read() as session:
        assert last_seen(session) == {"st-mary-registration": e.NOW}


@pytest.mark.parametrize("kind", [b"ADT", b"ADT^", b"ADT^a01", b"ADT^A1"])
def test_what_is_no_trigger_is_refused_also_there(hospital: Hospital, kind: bytes) -> None:
    message = stay("A01").replace(b"ADT^A01^ADT_A01", kind).replace(b"EVN|A01|", b"EVN||")
    assert hospital.take(message).startswith("AR MSH-9")


def test_without_the_setting_the_refusal_lists_what_is_taken_in(mapping: SiteMapping) -> None:
    with pytest.raises(Unsupported, match=r"SIU S12, S13, S14, S15, S16, S17, S26; ADT A01, .*A13, A40"):
        translate(read(stay("A02")), mapping.feeds[1], mapping)


@pytest.mark.parametrize("trigger", ["A01", "A04", "A08"])
def test_a_stay_elsewhere_in_the_house_is_let_pass_however_little_it_says(hospital: Hospital, trigger: str) -> None:
    hospital.refer()
    assert hospital.take(at(ELSEWHERE, trigger)) == "AA nothing to do with CAR-T"
    assert hospital.take(at(ELSEWHERE, trigger, visit="")) == "AA nothing to do with CAR-T"
    assert hospital.take(at(b"", trigger, kind="R")) == "AA nothing to do with CAR-T"
    assert hospital.kept() == []


@pytest.mark.parametrize("trigger", ["A06", "A07", "A08"])
def test_a_known_stay_that_changes_at_a_place_not_listed_is_somebodys_work(hospital: Hospital, trigger: str) -> None:
    hospital.refer()
    assert hospital.take(at(HERE, "A01")) == "AA"
    assert hospital.take(at(ELSEWHERE, trigger, number=2)).startswith("AE AIL-3.1")
    assert hospital.kept() == ["unmapped"]


def test_a_conversion_that_overtakes_its_admission_becomes_work_when_that_comes(hospital: Hospital) -> None:
    hospital.refer()
    assert hospital.take(at(ELSEWHERE, "A07", number=2)).startswith("AA retained")
    assert hospital.kept() == ["aside"]
    assert hospital.take(at(HERE, "A01")) == "AA"
    assert hospital.kept() == ["unmapped"]


@pytest.mark.parametrize("trigger", ["A03", "A11", "A13"])
def test_ends_of_unmatched_stays_are_retained_and_deleted(hospital: Hospital, trigger: str) -> None:
    assert hospital.take(at(ELSEWHERE, trigger)).startswith("AA retained")
    assert hospital.kept() == ["aside"]
    tidy = Deliverer(hospital.db, _deliver_nothing, keys=hospital.keys).tidy
    tidy(hospital.keys, hospital.now + REORDERED - timedelta(minutes=1))
    assert hospital.kept() == ["aside"]
    assert tidy(hospital.keys, hospital.now + REORDERED)
    assert hospital.kept() == []
    with hospital.db.read() as session:
        assert session.exec(select(QuarantineKey)).all() == session.exec(select(AlertRecord)).all() == []


@pytest.mark.parametrize("trigger", ["A03", "A11", "A13"])
def test_the_end_of_another_visit_of_a_known_patient_is_none_of_this_encounters(
    hospital: Hospital, trigger: str
) -> None:
    hospital.refer()
    assert hospital.take(at(ELSEWHERE, trigger, visit="ORTHO-9")).startswith("AA retained")
    assert hospital.stays() == []


def test_a_patient_may_leave_from_anywhere_in_the_house(hospital: Hospital) -> None:
    hospital.refer()
    assert hospital.take(at(HERE, "A01")) == "AA"
    assert hospital.take(at(ELSEWHERE, "A03", number=2)) == "AA"
    assert hospital.stays() == ["VISIT-2 True"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_overtakes_what_the_stay_is_the_same_once_its_referral_is_here(hospital: Hospital, seed: int) -> None:
    """Admission, merge, discharge elsewhere, its cancellation, discharge again and the referral, in any order, twice."""

    def said(place: bytes, trigger: str, number: int) -> Callable[[], object]:
        return lambda: hospital.take(at(place, trigger, number=number).replace(b"MRN-CANARY-77", b"M-NEW"))

    steps = [
        said(HERE, "A01", 1),
        said(ELSEWHERE, "A03", 2),
        said(ELSEWHERE, "A13", 3),
        said(HERE, "A03", 4),
        lambda: hospital.take(merge("M-OLD", "M-NEW")),
        lambda: hospital.refer("M-OLD"),
    ] * 2
    random.Random(seed).shuffle(steps)
    for step in steps:
        step()
    assert hospital.stays() == ["VISIT-2 True"]
    assert set(hospital.kept()) <= {"released"}


def test_a_referral_that_comes_weeks_late_finds_the_whole_stay(hospital: Hospital) -> None:
    """The end waits as long as its beginning, which a listed place reported."""
    tidy = Deliverer(hospital.db, _deliver_nothing, keys=hospital.keys).tidy
    assert hospital.take(at(ELSEWHERE, "A03", number=2)).startswith("AA retained")
    assert hospital.take(at(HERE, "A01", number=1)).startswith("AA retained")
    assert hospital.take(at(ELSEWHERE, "A13", number=3)).startswith("AA retained")
    hospital.now += timedelta(days=29)
    tidy(hospital.keys, hospital.now)
    hospital.refer()
    assert hospital.kept() == ["released"] * 3
    assert hospital.stays() == ["VISIT-2 False"]


def test_what_turns_out_to_be_a_patients_and_still_has_no_place_waits_for_a_person(hospital: Hospital) -> None:
    """The patient has two open encounters, and a merge names the patient alone: the stay is not deleted."""
    for number, product in enumerate(("kymriah", "yescarta"), 1):
        referral = e.referral(f"r-{number}", f"ORD-{number}", mrn="M-1", product=product)
        receive(hospital.db, hospital.keys, referral, hospital.now, "t")
    assert hospital.take(at(HERE, "A01").replace(b"MRN-CANARY-77", b"M-OLD")).startswith("AA retained")
    assert hospital.take(merge("M-OLD", "M-1")) == "AA"
    assert hospital.kept() == ["waiting"]
    tidy = Deliverer(hospital.db, _deliver_nothing, keys=hospital.keys).tidy
    tidy(hospital.keys, hospital.now + hospital.mapping.retain_for)
    assert hospital.kept() == ["waiting"]


def test_a_message_at_fault_is_answered_by_whose_it_is(hospital: Hospital) -> None:
    """Of an unmatched patient it stops no queue; when its patient is known it needs work, also if that comes later."""
    unclear = at(HERE, "A01", kind="R")
    assert hospital.take(unclear).startswith("AA retained")
    hospital.refer()
    assert hospital.kept() == ["unmapped"]
    assert hospital.take(unclear).startswith("AE PV1-2")
    assert hospital.take(at(HERE, "A01", kind="R", visit="V-3")).startswith("AE PV1-2")
    assert hospital.kept() == ["unmapped", "unmapped"]


def test_a_retained_message_that_comes_again_for_a_known_patient_needs_work(hospital: Hospital) -> None:
    late = at(ELSEWHERE, "A07")
    hospital.take(late)
    with hospital.db.write() as session:
        session.exec(select(QuarantineKey)).one().match_key = "lost"
    hospital.refer()
    hospital.take(at(HERE, "A01"))
    assert hospital.kept() == ["aside"]
    assert hospital.take(late).startswith("AE")
    assert hospital.kept() == ["unmapped"]


def test_a_retained_message_may_be_replayed_by_the_mapping_of_today(hospital: Hospital) -> None:
    hospital.take(at(HERE, "A01", kind="R"))
    with hospital.db.read() as session:
        entry = session.exec(select(Quarantine.quarantine_id)).one()
    better = hospital.mapping.model_copy(update={"patient_classes": {"R": AdmissionClass.OUTPATIENT}})
    wise = reader_of(lambda: better)
    result = replay(hospital.db, hospital.keys, entry, e.NOW, "t", wise)
    assert result.disposition.value == "quarantined"
    hospital.refer()
    assert hospital.stays() == ["VISIT-2 False"]


def test_appointments_of_a_listed_type_are_ours_whatever_is_wrong_with_them(hospital: Hospital) -> None:
    assert hospital.take(STORY[0].replace(b"CARTAPH", b"KNEE")) == "AA nothing to do with CAR-T"
    assert hospital.take(STORY[0].replace(b"|CARTAPH^Leukapheresis", b"|")).startswith("AA retained")
    assert hospital.take(STORY[0].replace(b"^^^20260302090000", b"")).startswith("AE SCH-11")
    assert hospital.kept() == ["aside", "unmapped"]


def test_the_recorded_feed_does_there_what_it_does_elsewhere(hospital: Hospital) -> None:
    hospital.refer()
    assert {hospital.take(message) for message in STORY[:-1]} == {"AA"}


def test_the_checker_reports_what_becomes_of_unmatched_patients(hospital: Hospital) -> None:
    data = b"".join(
        [at(HERE, "A01"), at(ELSEWHERE, "A01"), at(ELSEWHERE, "A03"), at(HERE, "A01", kind="R"), stay("A02")]
    )
    found = list(check(data, hospital.mapping))
    assert [one.outcome for one in found] == [
        "cart.admission.started",
        "ignored",
        "cart.admission.ended",
        "retained",
        "ignored",
    ]
    assert ["30 days" in one.detail for one in found] == [True, False, False, False, False]
    assert "2 days" in found[2].detail


async def _deliver_nothing(_encounter: str, _note: object) -> None:
    raise AssertionError("nothing is delivered")


def test_the_setting_stands_in_the_example(mapping: SiteMapping) -> None:
    text = HL7_FILE.read_text()
    assert "aside_days" in text
    assert mapping.aside_days == 30


def test_a_known_appointment_that_moves_to_an_unlisted_place_needs_work(hospital: Hospital) -> None:
    booking, move = STORY[2], STORY[2].replace(b"SIU^S12", b"SIU^S13")
    assert hospital.take(booking).startswith("AA")
    place = read(booking).get("AIL-3.1") or ""
    answer = hospital.take(
        move.replace(f"|{place}".encode(), b"|ANNEX").replace(
            b"|" + read(move).get("MSH-10").encode() + b"|", b"|MOVED-1|"
        )
    )
    assert answer.startswith("AE AIL-3.1")
    assert hospital.kept() == ["unmapped"]
