"""What hospitals write: character sets, escapes, own segments, several record numbers, batches, conversions, test messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from intake.faults import NotHl7, NotUsable, Unsupported
from intake.hl7.acks import NEWEST
from intake.hl7.batch import messages_of
from intake.hl7.mapping_check import check
from intake.hl7.message import Message, moment, read
from intake.hl7.translate import translate
from intake.inbox.receive import receive
from intake.replay import reader_of
from intake.site_mapping import Feed, SiteMapping
from store.identifiers import Hint
from store.originals import open_body
from store.tables import AlertRecord, Encounter, Inbox, Quarantine, RecordMerge
from tests.kit import events as e
from tests.kit.databases import refusing
from tests.kit.hl7 import ADMISSION, BOOKING, CANCEL, MOVE, MRN, merge, stay
from tests.kit.mllp import Mllp


def feed_of(mapping: SiteMapping, **changes: Any) -> tuple[Feed, SiteMapping]:
    """The registration feed with changes."""
    feed = mapping.feeds[1].model_copy(update=changes)
    return feed, mapping.model_copy(update={"feeds": (mapping.feeds[0], feed)})


def steps(data: bytes, feed: Feed, mapping: SiteMapping) -> list[tuple[str, dict[str, Any]]]:
    return [(event["type"], event["data"]) for event in translate(read(data), feed, mapping).events]


# --- characters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("", "utf-8"),
        ("", "latin-1"),
        ("ASCII", "latin-1"),
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/2", "iso8859-2"),
        ("8859/15~ASCII", "iso8859-15"),
    ],
)
def test_a_message_is_read_in_the_character_set_it_names(charset: str, codec: str) -> None:
    text = f"MSH|^~\\&|A|B|||20260301||SIU^S12|1|P|2.5||||||{charset}\rNTE|1||é§ß\r"
    assert read(text.encode(codec)).get("NTE-3") == "é§ß"


@pytest.mark.parametrize(("charset", "data"), [("ISO IR87", b"x"), ("UNICODE UTF-8", b"\xe9x"), ("8859/3", b"\xa5")])
def test_bytes_that_are_not_of_their_character_set_are_refused(charset: str, data: bytes) -> None:
    text = f"MSH|^~\\&|A|B|||20260301||SIU^S12|1|P|2.5||||||{charset}\rNTE|1||"
    with pytest.raises(NotHl7, match="MSH-18"):
        read(text.encode() + data + b"\r")


def test_a_kept_message_of_another_character_set_is_read_again_as_it_was(mllp: Mllp, mapping: SiteMapping) -> None:
    accented = BOOKING.replace(b"|P|2.3.1", b"|P|2.3.1||||||8859/1").replace(b"CARTAPH", b"KN\xc9E")
    assert read(mllp.door.take(accented)).get("MSA-1") == "AE"
    known = mapping.appointments[0].model_copy(update={"type": "KNÉE"})
    lenient = mapping.model_copy(update={"appointments": (known,)})
    with mllp.db.read() as session:
        row = session.exec(select(Quarantine)).one()
    reading = reader_of(lambda: lenient)(str(open_body(mllp.keys, row).raw), row.type, row.feed)
    assert [event["type"] for event in reading.events] == ["cart.appointment.booked"]


def test_an_escape_cannot_claim_memory_nor_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    message = read(b"MSH|^~\\&|A\rNTE|1||\\.sp999999999\\a\\XZZ\\b\\X4142\\\\C2842\\\r")
    assert message.get("NTE-3") == "\\.sp999999999\\a\\XZZ\\bAB\\C2842\\"
    assert caplog.records == []


def test_own_segments_are_let_pass_and_may_carry_the_order(mapping: SiteMapping) -> None:
    feed = mapping.feeds[0].model_copy(update={"order": ("ZCT-2.1", "SCH-26.1")})
    own = BOOKING.replace(b"RGS|1", b"ZCT|1|ORD-Z^X\rZPD|~^&|\rRGS|1")
    assert translate(read(own), feed, mapping).events[0]["subject"] == "ORD-Z"
    plain, changed = steps(BOOKING, feed, mapping), steps(own, feed, mapping)
    assert plain == changed


@pytest.mark.parametrize(
    ("value", "zoned"),
    [
        ("20261101013000", "2026-11-01T01:30:00-04:00"),
        ("20261101013000-0500", "2026-11-01T01:30:00-05:00"),
        ("202611010230", "2026-11-01T02:30:00-05:00"),
        ("2026070109", "2026-07-01T09:00:00-04:00"),
        ("20260701090000.1234+0000", "2026-07-01T09:00:00+00:00"),
    ],
)
def test_the_hour_that_comes_twice_is_its_first_pass_unless_it_has_an_offset(
    mapping: SiteMapping, value: str, zoned: str
) -> None:
    assert moment(value, mapping.feeds[0].zone, "x").isoformat() == zoned


@pytest.mark.parametrize("value", ["99991231235959", "٢٠٢٦٠٣٠١٠٩٠٠", "2026030109 "])
def test_a_time_that_is_none_is_never_a_crash(mapping: SiteMapping, value: str) -> None:
    with pytest.raises(NotUsable, match="PV1-44") as refused:
        moment(value, mapping.feeds[0].zone, "PV1-44")
    assert value not in str(refused.value)


# --- who --------------------------------------------------------------------------------------------------------------

AUTHORITIES = {"STMARY": "st_mary", "1.2.3": "lakeside"}


@pytest.mark.parametrize(
    ("identifiers", "authorities", "expected"),
    [
        (b"A^^^X^SS~B^^^STMARY^MR", {}, Hint("B", "st_mary")),
        (b"B^^^STMARY^MR~B^^^STMARY^MR", {}, Hint("B", "st_mary")),
        (b"B", {}, Hint("B", "st_mary")),
        (b"B^^^OTHER^MR~C^^^STMARY&9.9&ISO^MR", AUTHORITIES, Hint("C", "st_mary")),
        (b"B^^^&1.2.3&ISO^MR", AUTHORITIES, Hint("B", "lakeside")),
        (b"B^^^&1.2.3&ISO^MR~C^^^STMARY^MR", AUTHORITIES, Hint("C", "st_mary")),
        (b"B^^^STMARY^MR~C^^^STMARY^MR", {}, None),
        (b"B~C", {}, None),
        (b"A^^^X^SS~B", {}, None),
        (b"B^^^OTHER^MR", AUTHORITIES, None),
        (b'""', {}, None),
    ],
)
def test_the_record_number_is_the_one_of_the_mapped_type_and_authority(
    mapping: SiteMapping, identifiers: bytes, authorities: dict[str, str], expected: Hint | None
) -> None:
    feed, changed = feed_of(mapping, record_authorities=authorities)
    message = read(stay("A01").replace(MRN, identifiers))
    if expected is not None:
        assert translate(message, feed, changed).hint == expected
        return
    with pytest.raises(NotUsable, match="PID-3"):
        translate(message, feed, changed)


def admitted(mrn: str, visit: str) -> bytes:
    return ADMISSION.replace(b"MRN-CANARY-77", mrn.encode()).replace(b"VISIT-1", visit.encode())


def test_a_merge_counts_also_when_it_comes_before_the_patient_does(mllp: Mllp) -> None:
    """Any order of merge, referral under the old number and admission under the new one ends alike."""
    assert read(mllp.door.take(merge("M-OLD", "M-NEW"))).get("MSA-1") == "AA"
    waiting = read(mllp.door.take(admitted("M-NEW", "VISIT-1")))
    assert (waiting.get("MSA-1"), "quarantine" in str(waiting.get("MSA-3"))) == ("AA", True)
    opened = receive(mllp.db, mllp.keys, e.referral(mrn="M-OLD"), e.NOW, "t").encounter_id
    assert read(mllp.door.take(merge("M-NEW", "M-NEWEST"))).get("MSA-1") == "AA"
    assert read(mllp.door.take(admitted("M-NEWEST", "VISIT-2").replace(b"|2001|", b"|2099|"))).get("MSA-3") is None
    with mllp.db.read() as session:
        assert session.exec(select(Encounter.encounter_id)).all() == [opened]
        assert len(session.exec(select(Inbox)).all()) == 3
        assert [row.state for row in session.exec(select(Quarantine))] == ["released"]
        assert len(session.exec(select(RecordMerge)).all()) == 2
    assert read(mllp.door.take(merge("M-OLD", "M-NEW"))).get("MSA-1") == "AA"


def test_a_merge_of_two_patients_who_both_have_an_open_encounter_is_alerted_and_nothing_is_guessed(mllp: Mllp) -> None:
    first = receive(mllp.db, mllp.keys, e.referral("r-1", "ORD-1", mrn="M-1"), e.NOW, "t").encounter_id
    later = e.NOW + timedelta(minutes=1)
    second = receive(mllp.db, mllp.keys, e.referral("r-2", "ORD-2", mrn="M-2"), later, "t").encounter_id
    assert first != second
    for _ in range(2):
        assert read(mllp.door.take(merge("M-1", "M-2"))).get("MSA-1") == "AA"
    with mllp.db.read() as session:
        alert = session.exec(select(AlertRecord)).one()
        assert (alert.kind, alert.encounter_id, alert.severity) == ("two_encounters", second, "critical")
    unnamed = read(mllp.door.take(admitted("M-2", "VISIT-7")))
    assert "quarantine" in str(unnamed.get("MSA-3"))
    named = e.booking("b-1", "ORD-1", "A-1")
    assert receive(mllp.db, mllp.keys, named, e.NOW, "t").encounter_id == first


def test_a_merge_that_does_not_name_one_number_is_kept(mllp: Mllp) -> None:
    broken = merge("M-1", "M-2").replace(b"MRG|M-1^^^STMARY^MR", b"MRG|")
    answer = read(mllp.door.take(broken))
    assert (answer.get("MSA-1"), answer.get("ERR-2.1"), answer.get("ERR-3.1")) == ("AE", "MRG", "101")


# --- conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trigger", "kind", "found"), [("A06", "I", "inpatient"), ("A07", "O", "outpatient")])
def test_a_conversion_changes_the_class_at_its_moment(
    mapping: SiteMapping, trigger: str, kind: str, found: str
) -> None:
    [(event, data)] = steps(stay(trigger, kind=kind), *feed_of(mapping))
    assert (event, data["class"], data["at"]) == ("cart.admission.changed", found, "2026-04-01T17:30:00-04:00")
    assert steps(stay(trigger, kind=kind, prior="VISIT-2"), *feed_of(mapping)) == [(event, data)]


def test_a_conversion_under_a_new_number_begins_a_stay_and_an_undone_one_never_was(mapping: SiteMapping) -> None:
    [(event, data)] = steps(stay("A06", visit="V-IN", prior="V-OUT"), *feed_of(mapping))
    assert (event, data["admission_id"], data["class"]) == ("cart.admission.started", "V-IN", "inpatient")
    began, undone = steps(stay("A07", visit="V-OUT", kind="O", prior="V-IN"), *feed_of(mapping))
    assert (began[0], began[1]["admission_id"], began[1]["class"]) == ("cart.admission.started", "V-OUT", "outpatient")
    assert undone == ("cart.admission.cancelled", {"admission_id": "V-IN", "what": "admission"})


def test_both_events_of_a_conversion_are_taken_or_none(mllp: Mllp) -> None:
    receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t")
    conversion = stay("A07", visit="V-OUT", kind="O", prior="V-IN")
    with refusing(mllp.db, "cart.admission.cancelled"):
        assert read(mllp.door.take(conversion)).get("MSA-1") == "AR"
        with mllp.db.read() as session:
            assert len(session.exec(select(Inbox)).all()) == 1
    for _ in range(2):
        assert read(mllp.door.take(conversion)).get("MSA-1") == "AA"
    with mllp.db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 3


@pytest.mark.parametrize(
    ("insurance", "payer"),
    [
        ("IN1|1|MCRA^Medicare A|X", "medicare"),
        ("IN1|1|ZZZ|AETPPO^^^PAYERS\rIN1|2|MCRA", "aetna"),
        ("IN1|1|UNLISTED|X", None),
        ('IN1|1|""|""', None),
        ("", None),
    ],
)
def test_the_plan_of_registration_names_the_payer(mapping: SiteMapping, insurance: str, payer: str | None) -> None:
    message = stay("A01") + (f"{insurance}\r".encode() if insurance else b"")
    [(_, data)] = steps(message, *feed_of(mapping))
    assert data.get("coverage", {}).get("payer") == payer
    [(_, changed)] = steps(message.replace(b"A01", b"A08"), *feed_of(mapping))
    assert changed.get("coverage") == data.get("coverage")
    assert (f"payer={payer}" in next(check(message, mapping)).detail) is (payer is not None)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["T", "D"])
def test_a_test_message_does_not_book(mllp: Mllp, mapping: SiteMapping, mode: str) -> None:
    answer = read(mllp.door.take(BOOKING.replace(b"|P|2.3.1", f"|{mode}|2.3.1".encode())))
    assert (answer.get("MSA-1"), answer.get("ERR-1.3"), answer.get("ERR-1.4")) == ("AR", "11", "202")
    feed, changed = feed_of(mapping, processing_ids=frozenset({"P", mode}))
    assert steps(stay("A01").replace(b"|P|", f"|{mode}|".encode()), feed, changed)


@pytest.mark.parametrize(("trigger", "code"), [(b"SIU^S23", "201"), (b"ORU^R01", "200")])
def test_a_trigger_that_is_not_taken_in_is_named(mllp: Mllp, trigger: bytes, code: str) -> None:
    answer = read(mllp.door.take(MOVE.replace(b"SIU^S13", trigger).replace(b"|2.4", b"|2.5")))
    assert [answer.get(path) for path in ("MSA-1", "ERR-2", "ERR-2.3", "ERR-3.1")] == ["AR", "MSH", "9", code]


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1"])
def test_the_error_is_named_as_the_version_names_it(mllp: Mllp, version: str) -> None:
    wrong = MOVE.replace(b"|P|2.4", f"|P|{version}".encode()).replace(b"CARTAPH", b"KNEE")
    answer = read(mllp.door.take(wrong))
    assert answer.version == version
    if version in ("2.5", NEWEST):
        found = [answer.get(f"ERR-{part}") for part in ("2.1", "2.2", "2.3", "2.5", "3.1", "4")]
        assert found == ["SCH", "1", "8", "1", "103", "E"]
        assert "mapping" in str(answer.get("ERR-8"))
    else:
        assert [answer.get(f"ERR-1.{part}") for part in (1, 2, 3, 4)] == ["SCH", "1", "8", "103"]


def test_unsupported_is_said_by_the_translation(mapping: SiteMapping) -> None:
    with pytest.raises(Unsupported, match="MSH-12"):
        translate(read(MOVE.replace(b"|2.4", b"|2.10")), mapping.feeds[0], mapping)


# --- batches ----------------------------------------------------------------------------------------------------------

ENVELOPE = (b"FHS|^~\\&|CADENCE\rBHS|^~\\&|CADENCE\r", b"BTS|3\rFTS|1\r")
WHOLE = ENVELOPE[0] + BOOKING + MOVE + CANCEL + ENVELOPE[1]


def answers(data: bytes) -> list[Message]:
    return [read(one) for one in messages_of(data)]


def test_a_batch_is_answered_message_by_message(mllp: Mllp) -> None:
    receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t")
    answer = mllp.door.take(WHOLE.replace(b"\r", b"\r\n").replace(CANCEL[:40], CANCEL[:40]))
    assert answer.startswith(b"BHS|")
    assert answer.endswith(b"\rBTS|3\r")
    assert [(one.get("MSA-1"), one.get("MSA-2")) for one in answers(answer)] == [
        ("AA", "1001"),
        ("AA", "1002"),
        ("AA", "1004"),
    ]


def test_one_bad_message_of_a_batch_does_not_hold_the_others(mllp: Mllp) -> None:
    answer = mllp.door.take(WHOLE.replace(b"SIU^S13", b"SIU^S99"))
    assert [one.get("MSA-1") for one in answers(answer)] == ["AA", "AR", "AA"]


@pytest.mark.parametrize(
    "batch",
    [
        WHOLE.replace(b"BTS|3", b"BTS|4"),
        WHOLE.replace(b"BTS|3", b"BTS|three"),
        WHOLE.replace(b"FTS|1", b"FTS|one"),
        WHOLE.replace(b"FTS|1", b"FTS|2"),
        WHOLE.replace(b"BTS|3\r", b""),
        ENVELOPE[0] + BOOKING + b"BHS|^~\\&|X\r" + MOVE + ENVELOPE[1],
    ],
)
def test_a_batch_that_is_not_whole_is_refused_and_nothing_of_it_is_taken(mllp: Mllp, batch: bytes) -> None:
    assert read(mllp.door.take(batch)).get("MSA-1") == "AR"
    with mllp.db.read() as session:
        assert session.exec(select(Inbox)).all() == []


def test_the_checker_reads_files_of_batches_and_frames(mapping: SiteMapping) -> None:
    framed = b"\x0b" + BOOKING + b"\x1c\r\x0b" + MOVE + b"\x1c\r"
    assert [finding.outcome for finding in check(WHOLE + framed, mapping)] == [
        "cart.appointment.booked",
        "cart.appointment.rescheduled",
        "cart.appointment.cancelled",
        "cart.appointment.booked",
        "cart.appointment.rescheduled",
    ]
    converted = stay("A07", visit="V-OUT", kind="O", prior="V-IN")
    assert next(check(converted, mapping)).outcome == "cart.admission.started + cart.admission.cancelled"


@pytest.mark.parametrize(
    "unsaid",
    [
        WHOLE.replace(b"BTS|3", b"BTS"),
        WHOLE.replace(b"FTS|1", b"FTS|"),
        b"FHS|^~\\&\r" + BOOKING + MOVE + CANCEL + b"FTS|1\r",
    ],
)
def test_a_trailer_may_leave_its_count_and_a_file_its_one_batch_unsaid(mllp: Mllp, unsaid: bytes) -> None:
    assert [one.get("MSA-1") for one in answers(mllp.door.take(unsaid))] == ["AA"] * 3


@pytest.mark.parametrize(
    ("version", "kind"),
    [("2.3", "ACK^S13"), ("2.3.1", "ACK^S13^ACK"), ("2.4", "ACK^S13^ACK"), ("2.5.1", "ACK^S13^ACK")],
)
def test_an_acknowledgement_names_its_type_as_the_version_does(mllp: Mllp, version: str, kind: str) -> None:
    answer = mllp.door.take(MOVE.replace(b"|P|2.4", f"|P|{version}".encode()))
    assert answer.split(b"|")[8].decode() == kind


@pytest.mark.parametrize("trigger", [b"SIU^S13&X", b"SIU^s13", b"SIU^XIOMARA", b"SIU"])
def test_what_is_no_trigger_is_not_repeated(mllp: Mllp, trigger: bytes) -> None:
    answer = mllp.door.take(MOVE.replace(b"SIU^S13^SIU_S12", trigger))
    assert answer.split(b"|")[8] == (b"ACK^S13^ACK" if trigger == b"SIU^S13&X" else b"ACK")
    assert b"XIOMARA" not in answer
