"""The evidence packet: a sentence for every documented fact, and for every denial what its fix requires to submit."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import MODELS
from domain.packet import build
from domain.packet.build import NotDenied
from domain.packet.denial import FINDERS
from domain.packet.model import Packet
from domain.packet.narrative import describe
from domain.rulebook.rows import Denial, Payer, Submission
from tests.domain.packet.packets import PERSON, denied, sources
from tests.kit.rules import rulebook
from tests.kit.stories import Story, until_infused, whole

SILENT = {
    "cart.appointment.booked",
    "cart.appointment.rescheduled",
    "cart.appointment.cancelled",
    "cart.appointment.missed",
    "cart.certification.changed",
    "cart.readiness.changed",
    "cart.charge.posted",
    "cart.coding.completed",
    "cart.claim.acknowledged",
    "cart.claim.recouped",
    "cart.claim.remitted",
    "cart.correction.made",
}
"""Events outside the clinical course; certificates, claims, payer responses and corrections have separate parts."""


LOG = [
    {
        "regimen": "first",
        "line": 1,
        "class": "chemoimmunotherapy",
        "started": "2024-01-01",
        "stopped": "2024-06-01",
        "response": "partial response",
        "stop_reason": "progression",
    }
]


def with_toxicity() -> Story:
    story = until_infused("aetna", prior_therapies=LOG)
    story.assess(1, crs=2)
    story.discharge(12)
    story.code(13, other_diagnoses=[{"code": "D89.832", "poa": "N"}, {"code": "Z92.850", "poa": None}])
    return story


def test_every_event_of_the_catalog_has_a_sentence_or_is_left_out_on_purpose() -> None:
    default = describe.registry[object]
    with_sentence = {model.event_type for model in MODELS if describe.dispatch(model) is not default}
    assert with_sentence == {model.event_type for model in MODELS} - SILENT


def test_the_narrative_has_each_fact_once_in_clinical_order_with_its_event() -> None:
    story = whole("aetna")
    packet = build(sources(story))
    sentences = [one for one in packet.narrative if one.events]
    assert [one.on for one in sentences] == sorted(one.on for one in sentences)
    referenced = [event for one in sentences for event in one.events]
    assert len(referenced) == len(set(referenced))
    silent = {fact.event_id for fact in story.facts if fact.type in SILENT}
    assert set(referenced) == {fact.event_id for fact in story.facts} - silent


def test_a_corrected_fact_is_shown_as_corrected_and_names_its_correction() -> None:
    story = whole("aetna")
    dose = next(f for f in story.facts if f.type == "cart.lymphodepletion.administered")
    data = dose.data.model_dump(mode="json", by_alias=True) | {"dose_mg": 44, "wasted_mg": 6}
    reference = {"source": dose.source, "id": dose.id}
    change = {"of": reference, "reason": "typed wrongly", "signer": "staff-1", "replacement": data}
    correction = story.report(2, "cart.correction.made", change)
    (sentence,) = [one for one in build(sources(story)).narrative if dose.event_id in one.events]
    assert "44 mg given, 6 mg discarded" in sentence.text
    assert sentence.text.endswith("The record was corrected; this is the corrected version.")
    assert sentence.events == (dose.event_id, correction)


def test_identity_is_in_its_field_only_and_nowhere_when_withheld() -> None:
    story = whole("aetna")
    referral = next(f for f in story.facts if f.type == "cart.referral.received").data
    shown, withheld = build(sources(story)), build(sources(story, named=False))
    assert shown.patient == PERSON
    text = withheld.model_dump_json()
    assert withheld.patient is None
    assert withheld.identity == "withheld"
    secret = {referral.patient.mrn, referral.patient.name.family, referral.coverage.member_id, "AUTH-1"}  # type: ignore[attr-defined]
    secret |= {filed.document for filed in referral.evidence}  # type: ignore[attr-defined]
    assert {one for one in secret if one in text} == set()
    assert "AUTH-1" in shown.model_dump_json()
    assert "years old at referral" not in text
    assert "The patient was 18 or older at referral." in text


def test_a_denial_packet_shows_the_denial_and_the_last_day_to_appeal() -> None:
    packet = denied(whole("aetna"), 2)
    answer = packet.denied
    assert answer is not None
    assert packet.kind == "denial"
    assert (answer.claim, answer.control_number, answer.payer_number) == (
        "C/1",
        packet.claims[-1].control_number,
        "PAYER-1",
    )
    payer = rulebook().one(Payer, answer.on, key="aetna")
    assert answer.appeal_by == answer.on + timedelta(days=payer.appeal_days)
    assert [one.number for one in answer.denials] == [2]
    assert answer.state == "denied"


@pytest.mark.parametrize("number", sorted({row.number for row in rulebook().table(Denial)} - {3}))
def test_each_denial_lists_what_its_fix_requires_to_submit(number: int) -> None:
    packet = denied(with_toxicity(), number)
    assert packet.denied is not None
    assert number in [one.number for one in packet.denied.denials]
    mine = [one for one in packet.denied.submissions if one.denial == number]
    rows = [row for row in rulebook().table(Submission) if row.denial == number]
    assert [one.rule for one in mine] == [row.id for row in sorted(rows, key=lambda row: row.number)]
    for one in mine:
        assert one.held is not bool(one.missing)
        assert one.held is bool(one.where)
        assert (one.missing in packet.denied.missing) is not one.held


def test_denial_3_requires_nothing_for_a_lymphoma_patient() -> None:
    packet = denied(with_toxicity(), 3)
    assert packet.denied is not None
    assert [one for one in packet.denied.submissions if one.denial == 3] == []


def without_document(kind: str) -> Story:
    story = with_toxicity()
    story.facts = [
        dataclasses.replace(
            fact, data=fact.data.model_copy(update={"evidence": tuple(p for p in fact.data.evidence if p.kind != kind)})
        )
        if fact.type == "cart.referral.received"
        else fact
        for fact in story.facts
    ]
    return story


@pytest.mark.parametrize(
    ("number", "story", "words"),
    [
        (2, without_document("btk_inhibitor"), "Document that shows the BTK inhibitor history"),
        (6, None, "Start of manufacturing"),
        (8, whole("aetna"), "The grades among the claim's secondary diagnoses"),
        (11, without_document("tumour_burden"), "Disease burden"),
    ],
)
def test_what_no_record_shows_is_named_as_missing(number: int, story: Story | None, words: str) -> None:
    story = story or _unstarted()
    packet = denied(story, number)
    assert packet.denied is not None
    assert any(text.startswith(words) for text in packet.denied.missing), packet.denied.missing


def _unstarted() -> Story:
    story = with_toxicity()
    story.facts = [
        f for f in story.facts if getattr(getattr(f.data, "step", None), "value", "") != "manufacturing_start"
    ]
    return story


def test_a_broken_chain_is_never_submitted_as_complete() -> None:
    story = with_toxicity()
    made = sources(story)
    packet = denied(story, 6, chain=dataclasses.replace(made.chain, first_broken=4))
    assert packet.denied is not None
    assert packet.custody.verified is False
    assert any(text.startswith("Chain of identity, complete") for text in packet.denied.missing)


def test_a_log_line_with_a_missing_field_is_not_a_complete_log() -> None:
    story = with_toxicity()
    first = story.facts[0]
    lines = first.data.prior_therapies  # type: ignore[attr-defined]
    sentences = (lines[0].model_copy(update={"response": None}), *lines[1:])
    story.facts[0] = dataclasses.replace(first, data=first.data.model_copy(update={"prior_therapies": sentences}))
    packet = denied(story, 4)
    assert packet.therapies[0].lacks == ("response",)
    assert packet.denied is not None
    assert any(text.startswith("Prior therapy log") for text in packet.denied.missing)


def test_a_claim_that_was_not_denied_has_no_denial_packet() -> None:
    made = sources(whole("aetna"))
    with pytest.raises(NotDenied):
        build(dataclasses.replace(made, denied=made.versions[0]))


def test_every_submission_names_finders_that_exist_and_one_of_the_twelve() -> None:
    for edition in ("current", "guide"):
        rows = rulebook(edition).table(Submission)
        assert {row.denial for row in rows} == set(range(1, 13))
        assert {need.split(":")[0] for row in rows for need in row.needs} <= set(FINDERS)
    needs = {need.split(":")[0] for row in rulebook().table(Submission) for need in row.needs}
    assert needs == set(FINDERS)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(rand: object) -> None:
    story, shuffled = with_toxicity(), with_toxicity()
    rand.shuffle(shuffled.facts)  # type: ignore[attr-defined]
    assert _plain(build(sources(shuffled))) == _plain(build(sources(story)))


def _plain(packet: Packet) -> object:
    return json.loads(packet.model_dump_json())
