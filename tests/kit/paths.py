"""The ways an encounter goes, at every stage: what each leads to. `python -m tests.kit.paths` prints the table.

A path is taken in a story that stands in a stage. It tells what happens and answers the day to look at; None where the path
cannot be taken in that stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.decision.model import Decision
from domain.events.access import AppointmentBooked
from tests.kit.stories import (
    BAG,
    NDC,
    Story,
    until_collected,
    until_infused,
    until_received,
    whole,
)

HEAD = """# Paths

What each path leads to when it is taken at each stage: stage or outcome, claims with what holds them, alerts that open.
The patient of the table has mantle cell lymphoma and a commercial payer; *waits* is a claim whose documents are not complete
yet, a dash a path that cannot be taken there. Made by `python -m tests.kit.paths`;
`tests/domain/decision/test_path_table.py` proves every cell,
`tests/workflows/test_paths.py` plays each path through the workflow.
"""

PAYER = "aetna"
Path = Callable[[Story, int], int | None]
Stories = Mapping[str, tuple[Callable[[], Story], int]]


def _booked(story: Story, stage: str, day: int) -> Story:
    story.book(stage, day, day - 10, setting="inpatient" if stage == "infusion" else "outpatient")
    return story


def _referred() -> Story:
    story = Story()
    story.refer(coverage={"payer": PAYER, "member_id": "X"})
    story.authorize(-42, -42, 60)
    return _booked(story, "apheresis", -24)


def _in_manufacture() -> Story:
    story = until_collected(PAYER)
    story.hand_over(-24, "courier_pickup", hour=16)
    story.hand_over(-23, "manufacturer_receipt", hour=9)
    story.hand_over(-23, "manufacturing_start")
    story.book("lymphodepletion", -5, -21)
    story.book("infusion", 0, -21, setting="inpatient")
    return story


def _before_lymphodepletion() -> Story:
    story = until_collected(PAYER)
    story.release()
    story.on_the_way()
    story.receive(-7)
    return _booked(story, "lymphodepletion", -5)


def _before_infusion() -> Story:
    story = until_received(PAYER)
    story.on_the_way()
    story.deplete()
    return _booked(story, "infusion", 0)


def _monitored() -> Story:
    story = until_infused(PAYER)
    for day in (1, 2):
        story.assess(day)
    story.book("follow_up", 14, 0)
    return story


AT: Stories = {
    "apheresis": (_referred, -30),
    "manufacturing": (_in_manufacture, -20),
    "lymphodepletion": (_before_lymphodepletion, -6),
    "infusion": (_before_infusion, -1),
    "monitoring": (_monitored, 3),
}
"""Each stage with a story that stands in it, and the day on which the path is taken."""

STAGE_OF_DAY = {day: stage for stage, (_, day) in AT.items()}


def only(*stages: str) -> Callable[[Path], Path]:
    """The path can be taken in these stages alone."""

    def limited(path: Path) -> Path:
        return lambda story, day: path(story, day) if STAGE_OF_DAY[day] in stages else None

    return limited


def _last_booking(story: Story) -> str:
    booked = [fact.data for fact in story.facts if isinstance(fact.data, AppointmentBooked)]
    return booked[-1].appointment_id


def goes_on(story: Story, day: int) -> int:
    return day + 2


def moved(story: Story, day: int) -> int:
    to = {"appointment_id": _last_booking(story), "starts_at": story.at(day + 20).isoformat()}
    story.tell(day, "cart.appointment.rescheduled", to)
    return day + 2


@only("lymphodepletion")
def replanned(story: Story, day: int) -> int:
    """The infusion moves, and with it the label's days of a booked lymphodepletion."""
    story.book("infusion", 0, day, setting="inpatient")
    move = {"appointment_id": f"APT-infusion-{day}-0", "starts_at": story.at(7).isoformat()}
    story.tell(day, "cart.appointment.rescheduled", move, hour=15)
    return day + 1


def gone(what: str) -> Path:
    def take(story: Story, day: int) -> int:
        story.tell(day, f"cart.appointment.{what}", {"appointment_id": _last_booking(story)})
        return day + 2

    return take


@only("lymphodepletion")
def infusion_slot_lost(story: Story, day: int) -> int:
    """The infusion's slot is lost while lymphodepletion is still booked."""
    story.book("infusion", 0, day - 9, setting="inpatient")
    story.tell(day, "cart.appointment.cancelled", {"appointment_id": f"APT-infusion-{day - 9}-0"})
    return day


@only("apheresis", "manufacturing")
def short(story: Story, day: int) -> int:
    """A short collection, and the second one on the day after it."""
    if STAGE_OF_DAY[day] == "apheresis":
        story.collect()
        story.hand_over(-24, "courier_pickup", hour=16, din="DIN-1")
    story.collect(-23, ordinal=2, din="DIN-2")
    story.hand_over(-23, "courier_pickup", hour=16, din="DIN-2")
    return -22


@only("manufacturing")
def delayed(story: Story, day: int) -> int:
    told = {"coi_id": "COI-1", "new_release_date": story.on(4), "reason": "slow growth"}
    story.tell(day, "cart.manufacturing.delayed", told)
    return day + 2


@only("manufacturing", "lymphodepletion", "infusion")
def failed(story: Story, day: int) -> int:
    told = {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "no growth"}
    story.tell(day, "cart.manufacturing.failed", told)
    return day + 2


def _out_of_specification(story: Story, day: int) -> None:
    told = {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "viability", "bag_id": BAG}
    story.tell(day, "cart.manufacturing.failed", told | {"out_of_specification": True})


@only("manufacturing", "lymphodepletion", "infusion")
def out_of_specification(story: Story, day: int) -> int:
    _out_of_specification(story, day)
    return day + 2


@only("manufacturing", "lymphodepletion", "infusion")
def expanded_access(story: Story, day: int) -> int:
    _out_of_specification(story, day)
    sign(story, day, "expanded_access", hour=15)
    if STAGE_OF_DAY[day] == "manufacturing":
        story.release()
        story.receive()
        return -5
    return day + 1


@only("manufacturing", "lymphodepletion", "infusion")
def replaced(story: Story, day: int) -> int:
    """A failure, a second collection under a fresh authorization, and its product infused."""
    told = {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "no growth"}
    story.tell(day, "cart.manufacturing.failed", told)
    story.authorize(day + 2, day + 2, day + 90, number="AUTH-2", replaces="AUTH-1")
    story.collect(day + 5, ordinal=2, din="DIN-2")
    for name, on, hour in (("courier_pickup", 5, 16), ("manufacturer_receipt", 6, 9), ("manufacturing_start", 6, 12)):
        story.hand_over(day + on, name, hour=hour)
    story.release(day + 20, bag="BAG-2", lot="KTA0002")
    story.hand_over(day + 21, "shipped", bag_id="BAG-2", lot="KTA0002")
    story.receive(day + 22, bag="BAG-2", lot="KTA0002")
    story.deplete(day + 24)
    story.admit(day + 28)
    story.infuse(day + 29, bag="BAG-2", label={"lot": "KTA0002"})
    return day + 29


@only("manufacturing")
def late_product(story: Story, day: int) -> int:
    """Lymphodepletion is booked for a day on which the product is not there yet."""
    story.release()
    story.hand_over(-7, "shipped", bag_id=BAG, lot="KTA0001")
    return -5


@only("infusion")
def slipped(story: Story, day: int) -> int:
    """The infusion slips behind the fourteenth day after lymphodepletion, which is given again."""
    move = {"appointment_id": "APT-infusion--10-0", "starts_at": story.at(16).isoformat()}
    story.tell(day, "cart.appointment.rescheduled", move)
    story.deplete(11)
    story.admit(15)
    story.infuse(16)
    return 16


def left(reason: str) -> Path:
    def take(story: Story, day: int) -> int:
        story.withdraw(day, reason)
        return day + 2

    return take


def sign(story: Story, day: int, disposition: str, hour: int = 9) -> str:
    data = {"bag_id": BAG, "disposition": disposition, "reason": "reviewed", "role": "director", "signer": "staff-9"}
    return story.tell(day, "cart.disposition.signed", data, hour=hour)


@only("lymphodepletion", "infusion")
def destroyed(story: Story, day: int) -> int:
    sign(story, day, "destroy")
    return day + 2


def planned(change: dict[str, Any]) -> Path:
    def take(story: Story, day: int) -> int:
        story.tell(day, "cart.plan.changed", change | {"reason": "reviewed"})
        return day + 2

    return take


def readmitted(story: Story, day: int) -> int:
    story.admit(day, stay="ADM-9")
    return day + 2


@only("monitoring")
def readmitted_elsewhere(story: Story, day: int) -> int:
    story.discharge(day - 1)
    story.admit(day, stay="ADM-9", facility="county_hospital")
    return day + 2


@only("lymphodepletion", "infusion", "monitoring")
def admission_cancelled(story: Story, day: int) -> int:
    story.admit(day, stay="ADM-9")
    story.tell(day + 1, "cart.admission.cancelled", {"admission_id": "ADM-9"})
    return day + 2


@only("infusion")
def stopped(story: Story, day: int) -> int:
    story.admit()
    story.infuse(what="stopped", reason="reaction")
    return 0


@only("infusion")
def central(story: Story, day: int) -> int:
    """Central access instead of the planned peripheral one, coded as documented."""
    story.admit()
    story.infuse(access="central")
    for one in range(1, 12):
        story.assess(one)
    story.discharge(12)
    story.code(13, procedures=[{"code": "XW043M7", "date": story.on(0)}])
    return 14


@only("infusion")
def converted(story: Story, day: int) -> int:
    """Planned and infused as an outpatient, an inpatient before the day is over."""
    story.tell(day, "cart.plan.changed", {"planned_setting": "outpatient", "reason": "low burden"})
    story.add(day, "risk_assessment", {"outpatient_acceptable": True})
    move = {"appointment_id": "APT-infusion--10-0", "starts_at": story.at(0).isoformat(), "setting": "outpatient"}
    story.tell(day, "cart.appointment.rescheduled", move)
    story.admit(0, **{"class": "outpatient", "at": story.at(0, 8).isoformat()})
    story.infuse(setting="outpatient")
    change = {"admission_id": "ADM-1", "at": story.at(0, 18).isoformat(), "class": "inpatient"}
    story.tell(0, "cart.admission.changed", change, hour=18)
    return 1


@only("infusion")
def wrong_label(story: Story, day: int) -> int:
    story.admit()
    story.infuse(label={"hcpcs": "Q2041"})
    return 0


@only("infusion")
def corrected_label(story: Story, day: int) -> int:
    wrong_label(story, day)
    wrong = story.facts[-1]
    data = wrong.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    data["label"]["hcpcs"] = "Q2053"
    of = {"of": {"source": wrong.source, "id": wrong.id}, "reason": "misread", "signer": "staff-9"}
    story.tell(1, "cart.correction.made", of | {"replacement": data})
    return 1


@only("infusion")
def warm(story: Story, day: int) -> int:
    """The journey was too warm; the bag waits for a disposition."""
    story.receive(day, temperature={"min": -190, "max": -120})
    return day + 1


@only("infusion")
def accepted(story: Story, day: int) -> int:
    warm(story, day)
    sign(story, day, "release", hour=15)
    return day + 1


@only("infusion")
def retracted(story: Story, day: int) -> int:
    """The disposition that accepted the bag is taken back."""
    accepted(story, day)
    signed = story.facts[-1]
    of = {"of": {"source": signed.source, "id": signed.id}, "reason": "wrong bag", "signer": "staff-9"}
    story.tell(day, "cart.correction.made", of | {"retract": True}, hour=17)
    return day + 1


def _closed(story: Story, day: int) -> tuple[Story, int]:
    """The story at its end, and a day after it."""
    if STAGE_OF_DAY[day] == "monitoring":
        story.facts = whole(PAYER).facts
        return story, 40
    story.withdraw(day, "choice")
    if story.decide(day).claims and BAG in {getattr(fact.data, "bag_id", None) for fact in story.facts}:
        sign(story, day, "return", hour=15)
    return story, day + 10


def late_charge(story: Story, day: int) -> int:
    story, after = _closed(story, day)
    charge = {"charge_id": "CHG-9", "revenue_code": "0871", "hcpcs": "38206", "units": 1, "amount": "4321.00"}
    story.tell(after, "cart.charge.posted", charge | {"date": story.on(-24)})
    return after


def late_document(story: Story, day: int) -> int:
    """A second collection that nobody had sent is documented after the end."""
    story, after = _closed(story, day)
    story.tell(after, "cart.apheresis.completed", _second_collection(story))
    return after


def _second_collection(story: Story) -> dict[str, Any]:
    begun, ended = story.at(-23, 9).isoformat(), story.at(-23, 13).isoformat()
    base = {"facility": "st_mary", "setting": "outpatient", "coi_id": "COI-1", "din": "DIN-2", "collection_ordinal": 2}
    return base | {"started_at": begun, "ended_at": ended, "access": "peripheral"}


OTHER_CENTRE: dict[str, Any] = {"facilities": {"apheresis": "st_mary", "infusion": "lakeside"}}


@only("lymphodepletion", "infusion")
def sent_on(story: Story, day: int) -> int:
    """A transfer, and the bag follows."""
    story.tell(day, "cart.plan.changed", OTHER_CENTRE | {"reason": "nearer to home"})
    story.hand_over(day, "shipped", hour=15, bag_id=BAG, lot="KTA0001")
    story.receive(day + 1, facility="lakeside", ndc=NDC)
    return day + 2


TAKE: dict[str, Path] = {
    "goes on": goes_on,
    "rescheduled by 20 days": moved,
    "infusion moved, lymphodepletion booked": replanned,
    "slot lost": gone("cancelled"),
    "infusion's slot lost, lymphodepletion booked": infusion_slot_lost,
    "missed": gone("missed"),
    "collection short, repeated next day": short,
    "manufacture delayed beyond the window": delayed,
    "manufacture fails": failed,
    "out of specification": out_of_specification,
    "out of specification, expanded access": expanded_access,
    "replaced: second collection, fresh authorization": replaced,
    "product after planned lymphodepletion": late_product,
    "infusion slips, lymphodepletion repeated": slipped,
    "bag destroyed": destroyed,
    "other infusion centre": planned(OTHER_CENTRE),
    "other infusion centre, bag sent on": sent_on,
    "other product": planned({"product": "yescarta", "indication": "lbcl"}),
    "admission cancelled": admission_cancelled,
    "infusion stopped midway": stopped,
    "central access instead of peripheral": central,
    "outpatient becomes inpatient on day 0": converted,
    "admitted again": readmitted,
    "admitted again at another hospital": readmitted_elsewhere,
    "label of another product": wrong_label,
    "label corrected": corrected_label,
    "journey too warm": warm,
    "journey too warm, accepted by disposition": accepted,
    "disposition taken back": retracted,
    "withdrawn": left("choice"),
    "progression": left("progression"),
    "death": left("death"),
    "late charge after closure": late_charge,
    "late document after closure": late_document,
}


def told(path: str, stage: str) -> tuple[Story, int] | None:
    """The story of a path taken in a stage, and the day to look at it; None where it cannot be taken."""
    make, day = AT[stage]
    story = make()
    look = TAKE[path](story, day)
    return None if look is None else (story, look)


def decided(path: str, stage: str) -> Decision | None:
    """What should be when the path was taken."""
    found = told(path, stage)
    return found[0].decide(found[1]) if found else None


def cell(decision: Decision | None) -> str:
    """A decision in one cell."""
    if decision is None:
        return "–"
    end = decision.outcome.value if decision.outcome else decision.stage.value
    claims = [claim.key + (" held" if claim.errors else "" if claim.ready else " waits") for claim in decision.claims]
    alerts = sorted({alert.kind for alert in decision.alerts})
    return "; ".join(filter(None, (f"**{end}**", ", ".join(claims), ", ".join(alerts))))


def table() -> str:
    """The whole document."""
    lines = [HEAD, "| path | " + " | ".join(AT) + " |", "|---" * (len(AT) + 1) + "|"]
    lines += [f"| {path} | " + " | ".join(cell(decided(path, stage)) for stage in AT) + " |" for path in TAKE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
