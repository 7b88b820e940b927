"""The custody chain's content, the milestones and the vein-to-vein time."""

from __future__ import annotations

from domain.custody.entries import custody
from domain.encounter.facts import fold
from domain.encounter.record import Record
from domain.encounter.timeline import vein_to_vein_days
from tests.kit.site import site
from tests.kit.stories import Story, until_collected, until_infused, until_received


def steps(story: Story) -> list[object]:
    return [entry.content["step"] for entry in custody(fold(story.facts))]


def test_every_transfer_is_an_entry_in_clinical_order() -> None:
    story = until_received()
    story.transfer(-24, "courier_pickup", hour=16)
    story.infuse()

    assert steps(story) == ["collected", "courier_pickup", "released", "site_receipt", "infusion_completed"]
    entries = custody(fold(story.facts))
    assert [entry.key for entry in entries] == [entry.content["event"] for entry in entries]


def test_staff_are_under_the_names_that_the_activity_replaces() -> None:
    story = until_received()
    story.transfer(0, "bedside_check", second_verifier="staff-2")
    story.infuse()
    data = {"bag_id": "BAG-1", "disposition": "destroy", "reason": "rest", "role": "director", "signer": "staff-9"}
    story.report(1, "cart.disposition.signed", data)

    by_step = {entry.content["step"]: entry.content for entry in custody(fold(story.facts))}

    assert by_step["bedside_check"]["by"] == "staff-1"
    assert by_step["bedside_check"]["second_verifier"] == "staff-2"
    assert by_step["infusion_completed"]["verified_by"] == ["nurse-1", "nurse-2"]
    assert by_step["disposition_signed"]["by"] == "staff-9"


def test_a_correction_keeps_the_key_and_states_the_reason() -> None:
    story = until_received()
    wrong = story.facts[-1]
    data = wrong.data.model_dump(mode="json", exclude_none=True) | {"location": "tank 2"}
    of = {"of": {"source": wrong.source, "id": wrong.id}, "reason": "wrong tank", "signer": "staff-9"}
    correction = story.report(-5, "cart.correction.made", of | {"replacement": data})

    entry = next(e for e in custody(fold(story.facts)) if e.key == wrong.event_id)

    assert entry.content["location"] == "tank 2"
    assert (entry.content["corrected_by"], entry.content["reason"]) == ([correction], "wrong tank")
    assert entry.content["signer"] == "staff-9"


def test_a_retraction_stays_visible_without_its_content() -> None:
    story = until_received()
    wrong = story.facts[-1]
    of = {
        "of": {"source": wrong.source, "id": wrong.id},
        "reason": "other patient",
        "signer": "staff-9",
        "retract": True,
    }
    story.report(-5, "cart.correction.made", of)

    entry = next(e for e in custody(fold(story.facts)) if e.key == wrong.event_id)

    assert entry.content["step"] == "retracted"
    assert "lot" not in entry.content


def test_vein_to_vein_counts_from_the_collection_that_made_the_product() -> None:
    story = until_infused()
    assert vein_to_vein_days(Record(fold(story.facts)), site()) == 24
    assert vein_to_vein_days(Record(fold(until_received().facts)), site()) == 18
    assert vein_to_vein_days(Record(fold(until_collected().facts)), site()) is None

    again = Story()
    again.refer()
    again.collect(-60)
    again.report(-40, "cart.manufacturing.failed", {"coi_id": "COI-1", "at": again.at(-40).isoformat(), "reason": "x"})
    again.collect(-24, ordinal=2)
    again.release()
    again.infuse()
    assert vein_to_vein_days(Record(fold(again.facts)), site()) == 24


def test_milestones_are_planned_until_they_are_actual() -> None:
    story = until_received()
    story.book("infusion", 0, -7, setting="inpatient")
    planned = [(m.name, m.at.date().isoformat()) for m in story.decide(-6).milestones if m.planned]
    assert planned == [
        ("lymphodepletion", story.on(-5)),
        ("lymphodepletion", story.on(-4)),
        ("lymphodepletion", story.on(-3)),
        ("infusion", story.on(0)),
    ]

    story.deplete()
    story.admit()
    story.infuse()
    after = story.decide(1).milestones
    assert [m.name for m in after if m.planned] == ["monitoring_end"]
    assert [m.name for m in after if not m.planned] == [
        "referral",
        "apheresis",
        "release",
        "site_receipt",
        "lymphodepletion",
        "lymphodepletion",
        "lymphodepletion",
        "admission",
        "infusion",
    ]
