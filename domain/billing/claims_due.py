"""Claims from facts: assign the services, build each claim, then run the edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from domain.billing.assignment import assign_services
from domain.billing.build import stay
from domain.billing.build.charges import price
from domain.billing.build.collection import add_collections
from domain.billing.build.diagnoses import add_diagnoses
from domain.billing.build.documents import attachments
from domain.billing.build.draft import Draft, LineDraft
from domain.billing.build.drugs import add_lymphodepletion, add_medications
from domain.billing.build.evaluation import add_evaluations
from domain.billing.build.expanded_access import add_expanded_access
from domain.billing.build.forms import add_fields
from domain.billing.build.infusion import add_infusion
from domain.billing.build.remarks import remarks
from domain.billing.context import BillingContext
from domain.billing.edits import find_edits
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Claim, CodedValue, Form, Line
from domain.billing.payment_window import explain
from domain.billing.prior_system_claims import without_billed_elsewhere
from domain.billing.services import ClaimServices
from domain.encounter.model import Requirement
from domain.encounter.record import Record
from domain.rulebook import NoRule, Rulebook
from domain.rulebook.rows import PlaceOfService
from domain.site import Site

_WRITERS: tuple[Callable[[Draft], None], ...] = (
    add_collections,
    add_lymphodepletion,
    add_infusion,
    add_medications,
    add_evaluations,
    stay.add_room,
    stay.add_death,
    add_diagnoses,
    stay.add_procedures,
    stay.await_stay,
)

Uncleared = Mapping[str, "tuple[Requirement, ...]"]


def build_claims(record: Record, site: Site, rules: Rulebook, uncleared: Uncleared | None = None) -> tuple[Claim, ...]:
    """Return every claim of the documented services, by letter and ordinal, each with its edits.

    Args:
        record: the encounter. Without a referral there is neither payer nor product, and no claim.
        site: facilities, prices and payer identifiers; facility time zones decide dates of service.
        rules: the rulebook of one edition; rows are chosen by date of service or discharge.
        uncleared: by event, the unmet requirements of services performed without clearance.

    Returns:
        Claims; `ready` is False and `waiting_for` filled while documentation is missing.
    """
    found = cases(record, site, rules, uncleared)
    return tuple(review.claim.model_copy(update={"edits": find_edits(review)}) for review in found)


def cases(record: Record, site: Site, rules: Rulebook, uncleared: Uncleared | None = None) -> tuple[ClaimReview, ...]:
    """Every claim before its edits, with what it was built from."""
    if record.referral is None:
        return ()
    context = BillingContext(record, site, rules, record.referral)
    assigned = without_billed_elsewhere(context, _billed(context, assign_services(context)))
    drafts = [
        draft
        for services in assigned
        if not _empty(draft := _write(context.planned_on(services.first, services.facility), services))
    ]
    used = frozenset(event for draft in drafts for event in price(draft))
    claims = tuple(_claim(draft, explain(context, draft.services, assigned)) for draft in drafts)
    pairs = zip(drafts, claims, strict=True)
    return tuple(ClaimReview(draft, claim, claims, used, uncleared or {}) for draft, claim in pairs)


def _billed(context: BillingContext, assigned: Sequence[ClaimServices]) -> tuple[ClaimServices, ...]:
    """The claims without those that a payer's rule excludes."""
    return tuple(services for services in assigned if not _refused(context, services))


def _empty(draft: Draft) -> bool:
    """True when there is nothing to bill, as after a bag of which no cells were given."""
    return not (draft.lines or draft.stay or draft.waiting or draft.problems)


def _refused(context: BillingContext, services: ClaimServices) -> bool:
    try:
        return (
            services.letter == "A"
            and context.policy("collection_code", services.first, services.facility).value == "none"
        )
    except NoRule:
        return False


def _write(context: BillingContext, services: ClaimServices) -> Draft:
    draft = Draft(context, services, waiting=list(services.waiting))
    with draft.section():
        draft.place = context.rules.one(PlaceOfService, services.first, stage=services.stage, setting=services.setting)
        draft.cite(draft.place)
    for writer in _WRITERS:
        writer(draft)
    with draft.section():
        _attest(draft)
    with draft.section():
        add_expanded_access(draft)
    with draft.section():
        _cite_window(draft)
    return draft


def _cite_window(draft: Draft) -> None:
    """Cite on the claim the rule that moved outpatient services to the stay."""
    if draft.stay:
        given = [(f.data.facility, f.data.started_at) for f in draft.services.doses]
        given += [(f.data.facility, f.data.started_at) for f in draft.services.collections]
        for facility in sorted({facility for facility, began in given if not draft.context.in_stay(draft.stay, began)}):
            draft.cite(draft.context.window_policy(draft.context.admitted_on(draft.stay), facility))


def _attest(draft: Draft) -> None:
    """Condition code of services that are attested unrelated to the stay they precede (corrections C5).

    A hospital attests with it; an office has no such code.
    """
    if not draft.services.unrelated or draft.professional:
        return
    on = draft.services.first
    row = draft.code("condition_unrelated", on)
    reason = draft.reason_from(row, "Attested unrelated to the stay that follows.", *draft.services.unrelated)
    field = draft.location("condition_code", on).field
    draft.codes.append(CodedValue(kind="condition", code=row.code, field=field, reason=reason))


def _claim(draft: Draft, folded: tuple[str, ...]) -> Claim:
    period, lines = _period(draft), _lines(draft)
    total, drg, noted = sum((line.charge for line in lines), Decimal(0)), stay.group(draft), remarks(draft)
    add_fields(draft, period, {"total": f"{total:.2f}", "drg": drg, "remarks": noted})
    services, place, rules = draft.services, draft.place, draft.context.rules
    return Claim(
        letter=services.letter,
        ordinal=services.ordinal,
        form=Form(place.form) if place else Form.UB04,
        type_of_bill=place.type_of_bill if place else None,
        place_of_service=place.place_of_service if place else None,
        payer=draft.context.payer,
        facility=services.facility,
        setting=services.setting,
        statement_from=period[0],
        statement_through=period[1],
        ready=not draft.waiting,
        waiting_for=tuple(dict.fromkeys(draft.waiting)),
        admission_id_event=services.stay.events[0] if services.stay else None,
        fields=tuple(draft.fields),
        lines=lines,
        diagnoses=tuple(draft.diagnoses),
        procedures=tuple(draft.procedures),
        codes=tuple(sorted(draft.codes, key=lambda value: (value.kind, value.code))),
        attachments=attachments(draft),
        drg=drg,
        total=total,
        remarks=noted,
        advisories=draft.advisories,
        folded=folded,
        edition=rules.edition,
        rulebook_digest=rules.digest,
    )


def _period(draft: Draft) -> tuple[date, date]:
    """Statement period: from the first service or the admission, whichever is earlier, to discharge or the last service."""
    days = [line.on for line in draft.lines] or [draft.services.first]
    days += [procedure.date for procedure in draft.procedures]
    if draft.stay:
        days.append(draft.context.admitted_on(draft.stay))
        if out := draft.context.discharged_on(draft.stay):
            return min(days), out
    return min(days), max(days)


def _lines(draft: Draft) -> tuple[Line, ...]:
    """Numbered in the order of the form: by revenue code and day on a UB-04, by day on a CMS-1500."""
    ordered = sorted(draft.lines, key=lambda line: ("" if draft.professional else line.revenue_code or "", line.on))
    return tuple(_line(draft, number, line) for number, line in enumerate(ordered, start=1))


def _line(draft: Draft, number: int, line: LineDraft) -> Line:
    pointers = range(1, 1 + min(4, sum(d.role != "admitting" for d in draft.diagnoses)))
    return Line(
        number=number,
        service=line.service,
        revenue_code=None if draft.professional else line.revenue_code,
        hcpcs=line.hcpcs if line.printed else None,
        modifiers=line.modifiers,
        units=line.units,
        unit_of_measure=line.measure,
        charge=line.charge if line.charge is not None else Decimal("0.00"),
        date_of_service=line.on,
        ndc=line.ndc,
        ndc_quantity=line.ndc_quantity,
        ndc_unit=line.ndc_unit,
        description=line.description,
        fields=_line_fields(draft, line),
        diagnosis_pointers=tuple(pointers) if draft.professional else (),
        documented_mg=line.given_mg,
        wasted_mg=line.wasted_mg,
        reason=line.reason.model_copy(update={"events": tuple(dict.fromkeys((*line.reason.events, *line.posted)))}),
    )


def _line_fields(draft: Draft, line: LineDraft) -> dict[str, str]:
    values = ["hcpcs", "service_date", "units", "charge", "description"]
    values += ["place_of_service", "diagnosis_pointer"] if draft.professional else ["revenue_code"]
    values += ["ndc"] if line.ndc else []
    found: dict[str, str] = {}
    for value in values:
        with draft.section():
            found[value] = draft.location(value, line.on).field
    return found
