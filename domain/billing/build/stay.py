"""What a stay adds to a claim: room days, covered days, procedures and the MS-DRG."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.billing.build import grouper
from domain.billing.build.draft import Draft, LineDraft
from domain.billing.model import CodedValue, Procedure, Reason
from domain.encounter.facts import Fact
from domain.encounter.record import Stay
from domain.events.revenue import CodingCompleted
from domain.rulebook.rows import Code


def coding_of(draft: Draft) -> Fact[CodingCompleted] | None:
    """The coder's abstract: by admission for a stay, else by letter and ordinal. The latest one counts."""
    services = draft.services
    found = [
        fact
        for fact in draft.context.record.codings
        if (services.stay and fact.data.admission_id == services.stay.id)
        or (
            fact.data.admission_id is None
            and (fact.data.claim, fact.data.ordinal) == (services.letter, services.ordinal)
        )
    ]
    return found[-1] if found else None


def room_days(draft: Draft, stay: Stay) -> int | None:
    """Midnights of the stay, at least one; None until discharge."""
    out = draft.context.discharged_on(stay)
    return None if out is None else max(1, (out - draft.context.admitted_on(stay)).days)


def await_stay(draft: Draft) -> None:
    """An inpatient claim waits for discharge and coding."""
    if not draft.inpatient:
        return
    if draft.stay and draft.stay.ended_at is None:
        draft.waiting.append("the discharge")
    if coding_of(draft) is None:
        draft.waiting.append("the coder's abstract of the stay")


def add_room(draft: Draft) -> None:
    """Add the room line, unless accommodation charges were posted."""
    stay = draft.stay
    if stay is None or (days := room_days(draft, stay)) is None:
        return
    on = draft.context.admitted_on(stay)
    with draft.section():
        covered = draft.code("value_covered_days", on)
        draft.codes.append(
            CodedValue(
                kind="value",
                code=covered.code,
                amount=Decimal(days),
                field=draft.location("value_code", on).field,
                reason=draft.reason_from(covered, f"{days} covered days.", *stay.events),
            )
        )
    if posted_rooms(draft):
        return
    with draft.section():
        row = draft.code("rev_room_and_board", on)
        reason = draft.reason_from(row, f"{days} midnights from admission to discharge.", *stay.events)
        draft.lines.append(LineDraft("room_and_board", on, days, row.code, None, row.title, reason, measure="DA"))


def add_death(draft: Draft) -> None:
    """Add the date of death where the discharge status is expired; payers reject the claim without it."""
    stay = draft.stay
    if stay is None or stay.discharge_status is None or (out := draft.context.discharged_on(stay)) is None:
        return
    with draft.section():
        if stay.discharge_status not in draft.policy("expired_statuses", out).value.split():
            return
        row = draft.code("occurrence_death", out)
        field = draft.location("occurrence_code", out).field
        reason = draft.reason_from(row, "The discharge status is expired on this day.", *stay.events)
        draft.codes.append(CodedValue(kind="occurrence", code=row.code, date=out, field=field, reason=reason))


def posted_rooms(draft: Draft) -> bool:
    """True when the patient account carries accommodation charges for the stay."""
    stay = draft.stay
    if stay is None:
        return False
    rooms = {row.code for row in draft.context.codes("accommodation", draft.context.admitted_on(stay))}
    return any(c.data.admission_id == stay.id and c.data.revenue_code in rooms for c in draft.context.record.charges)


def add_procedures(draft: Draft) -> None:
    """Procedures of an inpatient claim: the documented cell service first, then the other procedures of the coder."""
    if not draft.inpatient:
        return
    with draft.section():
        _cell_administration(draft)
    with draft.section():
        _collection_procedure(draft)
    coding = coding_of(draft)
    if coding is None:
        return
    known = {procedure.code for procedure in draft.procedures} | _other_cell_codes(draft)
    for coded in coding.data.procedures:
        if coded.code not in known:
            with draft.section():
                _append(draft, coded.code, coded.date, "From the coder's abstract.", (coding.event_id,), None)


def cell_codes(draft: Draft) -> frozenset[str]:
    """Every procedure code that administers CAR-T cells on the day that picks the codes."""
    return frozenset(
        row.code for row in draft.context.rules.find(Code, draft.coding_day, role="cell_administration_pcs")
    )


def _other_cell_codes(draft: Draft) -> frozenset[str]:
    return cell_codes(draft) if draft.services.given else frozenset()


def _cell_administration(draft: Draft) -> None:
    for infusion in draft.services.given[:1]:
        row = draft.code("cell_administration_pcs", draft.coding_day, access=infusion.access)
        text = f"Product, {infusion.access} access and discharge date decide the code."
        on = draft.context.day(infusion.started_at, infusion.facility)
        draft.cite(row)
        _append(draft, row.code, on, text, infusion.events, row.id, row.citation)


def _collection_procedure(draft: Draft) -> None:
    facts = draft.services.collections
    if not facts:
        return
    row = draft.code("collection_pcs_single" if len(facts) == 1 else "collection_pcs_multiple", draft.coding_day)
    on = draft.context.day(facts[0].data.started_at, facts[0].data.facility)
    text = "Collection of white cells as an inpatient."
    _append(draft, row.code, on, text, tuple(f.event_id for f in facts), row.id, row.citation)


def _append(
    draft: Draft, code: str, on: date, text: str, events: tuple[str, ...], rule: str | None, citation: str = ""
) -> None:
    role = "other" if draft.procedures else "principal"
    location = draft.location(f"{role}_procedure", draft.coding_day)
    reason = Reason(rule=rule or location.id, citation=citation or location.citation, events=events, text=text)
    draft.procedures.append(
        Procedure(
            role="principal" if role == "principal" else "other",
            code=code,
            date=on,
            field=location.field,
            reason=reason,
        )
    )


def group(draft: Draft) -> str | None:
    """The MS-DRG of the stay as three digits; None while coding or discharge is missing, or no version covers it."""
    stay, patient = draft.stay, draft.context.referral.data.patient
    principal = next((d for d in draft.diagnoses if d.role == "principal"), None)
    if stay is None or principal is None or (out := draft.context.discharged_on(stay)) is None:
        return None
    return grouper.drg(
        grouper.CodedStay(
            discharged=out,
            age=grouper.years(patient.birth_date, draft.context.admitted_on(stay)),
            sex=patient.sex.value,
            discharge_status=stay.discharge_status or "",
            principal=(principal.code, principal.poa),
            others=tuple((d.code, d.poa) for d in draft.diagnoses if d.role == "other"),
            procedures=tuple(p.code for p in draft.procedures),
        )
    )
