"""One claim and its payers without a database: a model payer, the steps of the activities, and what must hold at each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from domain.billing.model import Claim, Edit, EditSeverity, Form
from domain.billing.submission.model import ORIGINAL, REPLACEMENT, UNCHANGED, VOID, Due, NotDue, Wanted
from domain.billing.submission.next_step import Step, next_step
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.situation import Around
from domain.billing.submission.versions import ClaimVersion, Parties, SentFile, current
from domain.site import Site
from tests.domain.billing.stories import mcl_inpatient
from tests.kit.rules import rulebook
from tests.kit.site import site

START = datetime(2026, 7, 20, 12, tzinfo=UTC)


@cache
def live_site() -> Site:
    """The example site with every payer live."""
    payers = tuple(payer.model_copy(update={"mode": "live"}) for payer in site().payers)
    return site().model_copy(update={"payers": payers})


@cache
def base() -> Claim:
    """The inpatient claim of the guide's adult, without a finding."""
    return mcl_inpatient().claim("C/1").model_copy(update={"edits": ()})


ERROR = Edit(
    id="edits.example",
    severity=EditSeverity.ERROR,
    field="",
    message="an example",
    fix="",
    citation="example",
    owner="biller",
)


@cache
def claims() -> tuple[Claim, ...]:
    """Contents that a claim may come to have: other charges, payer, kind of bill, form; each once with an error."""
    first = base()
    late = first.model_copy(update={"total": first.total + 1, "lines": _dearer(first)})
    other_payer = first.model_copy(update={"payer": "aetna"})
    outpatient = first.model_copy(update={"type_of_bill": "131"})
    professional = first.model_copy(update={"form": Form.CMS1500, "type_of_bill": None, "place_of_service": "11"})
    explained = first.model_copy(update={"advisories": ("an explanation",), "folded": ("an explanation",)})
    whole = (first, late, other_payer, outpatient, professional, explained)
    return (*whole, *(claim.model_copy(update={"edits": (ERROR,)}) for claim in (first, late, other_payer)))


def _dearer(claim: Claim) -> tuple[object, ...]:
    line, *rest = claim.lines
    return (line.model_copy(update={"charge": line.charge + 1}), *rest)


@dataclass
class File:
    """A file that went out, as its payer sees it."""

    control: str
    claim: Claim
    frequency: str
    insured: str
    of: str | None
    answered: bool = False
    accepted: bool | None = None


@dataclass
class Course:
    """One claim, driven step by step as its activities do it.

    `twice`: a payer accepted a file after all when a later one was out already.
    """

    shadow: bool = False
    versions: tuple[ClaimVersion, ...] = ()
    responses: list[PayerResponse] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    now: datetime = START
    sequence: int = 0
    decided_at: datetime = START
    claim: Claim | None = None
    insured: str = "insured"
    others: str = "others"
    numbers: int = 0
    twice: bool = False
    step: Step | None = None

    # What the activities do

    def around(self) -> Around:
        place = site() if self.shadow else live_site()
        return Around(rulebook(), place, lambda claim, as_of: Parties(self.insured, self.others))

    def asked(self, wanted: Wanted) -> Step:
        """A step, and everything that must hold of each step."""
        step = next_step(self.versions, wanted, self.responses, self.around(), self.now)
        self.versions = tuple(map(self._numbered, step.versions))
        self.step = step
        return step

    def _numbered(self, version: ClaimVersion) -> ClaimVersion:
        if version.emitted_at is None or version.control_number is not None:
            return version
        self.numbers += 1
        return replace(version, control_number=f"CE{self.numbers}")

    def decided(self, claim: Claim | None) -> None:
        """The facts make another claim due, or none; the claim's workflow builds it and looks at it."""
        self.claim, self.sequence, self.decided_at = claim, self.sequence + 1, self.now
        self.build()

    def build(self) -> None:
        self.asked(self.wanted)
        self.look()

    @property
    def wanted(self) -> Due | NotDue:
        """What was decided last."""
        if self.claim is None:
            return NotDue(self.sequence, self.decided_at)
        return Due(self.claim, self.sequence, self.decided_at)

    def look(self) -> Step:
        """Follow, send what goes out now, and ask again after a void, as the workflow does."""
        step = self.asked(UNCHANGED)
        if step.send:
            self.transmit(step)
            step = self.asked(UNCHANGED)
        if step.ask_again is not None:
            self.asked(self.wanted)
            step = self.asked(UNCHANGED)
        return step

    def transmit(self, step: Step) -> None:
        version = current(self.versions)
        assert version is not None
        self.check_file(version, step)
        before = self.known()
        of = step.names.control if step.names else None
        names = Parties(self.insured, self.others)
        sent = SentFile(self.now, True, self.shadow, names, step.names.event if step.names else None)
        self.versions = tuple(replace(one, sent=sent) if one is version else one for one in self.versions)
        control = version.control_number
        assert control is not None
        self.files[control] = File(control, version.claim, version.frequency, self.insured, of)
        assert len(self.known()) <= max(1, len(before)), "two live versions at the payer"

    # What must hold

    def check_file(self, version: ClaimVersion, step: Step) -> None:
        assert version.control_number not in self.files, "a version goes out once"
        assert version.frequency == VOID or not version.claim.errors, "no errors go out"
        if version.frequency == ORIGINAL:
            assert step.names is None
            return
        assert step.names is not None, "a replacement or void names a number"
        assert step.names.payer_number
        target = self.files[step.names.control]
        if not self.shadow:
            assert step.names.control in self.known(), "it names what the payer has"
        assert target.claim.payer == version.claim.payer
        if version.frequency == REPLACEMENT:
            assert version.claim.can_replace(target.claim)

    def known(self) -> list[str]:
        """Control numbers of what the payers have, by what they answered so far."""
        found: list[str] = []
        for file in self.files.values():
            if file.accepted is False or (self.shadow and not file.answered and file.frequency != VOID):
                continue
            if file.of in found:
                found.remove(file.of)
            if file.frequency != VOID:
                found.append(file.control)
        return found

    # What the payers do

    def answer(self, control: str, kind: str, accepted: bool = True, number: bool = True, status: str = "1") -> None:
        """A response comes in; the facts wake the claim's workflow, which builds and looks."""
        file = self.files[control]
        self.now += timedelta(hours=1)
        self.decided_at = self.now
        amount = file.claim.total if kind == "835" and status == "1" else Decimal(0)
        event = f"evt_{len(self.responses)}"
        self.responses.append(
            PayerResponse(
                event=event,
                control=control,
                at=self.now,
                kind=kind,
                accepted=accepted,
                codes=() if accepted else ("A7:562",),
                payer_number=f"P{len(self.responses)}-{control}" if number and accepted else None,
                status=status if kind == "835" else "",
                paid=amount,
                place=("payer", event),
            )
        )
        before = len(self.known())
        file.answered, file.accepted = True, accepted
        self.twice = self.twice or len(self.known()) > max(1, before)
        self.build()

    def story(self) -> list[tuple[str, str]]:
        return [(version.frequency, version.state.value) for version in self.versions]

    def open(self) -> list[str]:
        return [control for control, file in self.files.items() if not file.answered]


def shuffled(responses: Sequence[PayerResponse], seed: int) -> list[PayerResponse]:
    """The same responses in another order, some of them twice."""
    chance = random.Random(seed)
    found = [*responses, *chance.choices(responses, k=2)] if responses else []
    chance.shuffle(found)
    return found


BASE, LATE, AETNA, OUTPATIENT, OFFICE, EXPLAINED, BASE_WRONG, LATE_WRONG, AETNA_WRONG = claims()
CLAIMS = {
    "base": BASE,
    "late": LATE,
    "aetna": AETNA,
    "outpatient": OUTPATIENT,
    "office": OFFICE,
    "explained": EXPLAINED,
    "base!": BASE_WRONG,
    "late!": LATE_WRONG,
    "aetna!": AETNA_WRONG,
}
"""Contents by name; with `!` an error holds them. `aetna` is of another payer, `office` of another form."""


def played(text: str, shadow: bool = False, course: Course | None = None) -> Course:
    """A course of happenings: `due late; send; accepted 1; not due`. Versions are named by their numbers."""
    course = course or Course(shadow=shadow)
    for happening in text.split("; "):
        verb, _, what = happening.partition(" ")
        match verb:
            case "due":
                course.decided(CLAIMS[what])
            case "not":
                course.decided(None)
            case "send":
                wait(course, 5)
            case "days":
                wait(course, int(what))
            case "insured" | "others":
                setattr(course, verb, f"other {verb}")
                course.sequence += 1
                course.build()
            case _:
                answered(course, verb, what)
    return course


def wait(course: Course, days: int) -> None:
    course.now += timedelta(days=days)
    course.look()


def answered(course: Course, verb: str, number: str) -> None:
    """`accepted` names no number, `numbered` does."""
    control = next(one.control_number for one in course.versions if one.number == int(number))
    assert control is not None
    kind = "835" if verb in ("paid", "denied") else "277CA"
    course.answer(
        control,
        kind,
        accepted=verb != "rejected",
        number=verb != "accepted",
        status="4" if verb == "denied" else "1",
    )


def story(course: Course) -> str:
    return ", ".join(" ".join(one) for one in course.story())
