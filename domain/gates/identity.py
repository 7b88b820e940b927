"""Identity of the cells, from vein to vein (corrections G, G81, G177, G440), and what a broken chain asks for.

Every finding is a requirement that nobody can override. A mismatch goes only with a correction of the facts, never with a
signature; a broken condition also goes with a signed disposition that accepts the bag. Both leave the bag in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from domain.attempts import RESCUED, disposition_of
from domain.case import Case, Service
from domain.decision import Requirement
from domain.events import EventData, cells
from domain.events.base import Stage
from domain.facts import Fact
from domain.gates.chain import (
    Violation,
    hand_overs,
    ndc_fits,
    ndc_of_another,
    of_the_product,
    own_keys,
    product_part,
)
from domain.gates.condition import conditions
from domain.gates.rows import alert_row, from_alert
from domain.record import Infusion, aliases_of
from domain.rulebook.rows import Denial

CORRECTED = ("cart.correction.made",)
SIGNED = ("cart.correction.made", "cart.disposition.signed")
NAMES = {
    "coi": "chain-of-identity key",
    "din": "donation number",
    "bag": "bag number",
    "lot": "lot",
    "isbt_128": "ISBT 128 number",
    "maker_id": "manufacturer number",
}
WRONG_PRODUCT, UNKNOWN_NDC = 9, 12
"""The numbers of two denials as the guide counts them (G440, G443)."""


def identity(case: Case, service: Service) -> list[Requirement]:
    """The chain up to a service, judged for its day: one requirement for each broken rule, or one that is met."""
    broken = list(standing(case, service))
    if not broken:
        return [_requirement(case, Violation("identity_mismatch", "chain", "", ()), True)]
    return [_requirement(case, violation, False) for violation in broken]


def shared_identity(case: Case, service: Service) -> list[Requirement]:
    """Identifiers of these cells that another patient carries, for a gate that asks nothing else of the chain."""
    found = {violation.name: violation for violation in _shared(case, service.moment)}
    return [_requirement(case, violation, False) for violation in found.values()]


def standing(case: Case, service: Service) -> Iterator[Violation]:
    """The broken rules that no disposition has settled, one of each name with all its events."""
    merged: dict[str, Violation] = {}
    for found in violations(case, service):
        if found.by_disposition and _accepted(case, found):
            continue
        known = merged.get(found.name)
        events = tuple(dict.fromkeys((*(known.events if known else ()), *found.events)))
        merged[found.name] = replace(found, events=events)
    yield from merged.values()


def violations(case: Case, service: Service) -> Iterator[Violation]:
    """Every broken rule of the chain up to the service."""
    until = service.moment if service.performed and service.stage is not Stage.INFUSION else None
    yield from _shared(case, until)
    yield from _origin(case, until)
    if service.stage is Stage.MANUFACTURING:
        return
    yield from _release(case, service.on, until)
    yield from _one_number(case, until)
    yield from conditions(case, service, until)
    if service.stage is Stage.INFUSION:
        for infusion in case.record.infusions:
            yield from _label(case, infusion, service.on)


def quarantined(case: Case, service: Service) -> dict[str, tuple[str, ...]]:
    """Bags that a broken rule keeps in quarantine, with the events; an accepting disposition takes a bag out."""
    bags: dict[str, tuple[str, ...]] = {}
    for violation in violations(case, service):
        bag = violation.bag_id
        if bag is not None and not _accepted(case, violation):
            bags[bag] = tuple(dict.fromkeys((*bags.get(bag, ()), *violation.events)))
    return bags


def _requirement(case: Case, violation: Violation, met: bool) -> Requirement:
    return from_alert(
        case,
        violation.kind,
        f"identity.{violation.name}",
        "identity",
        met,
        "" if met else violation.what,
        releases_on=SIGNED if violation.by_disposition else CORRECTED,
        overridable=False,
        evidence=violation.events,
        denial=violation.denial,
        fix=_fix(case, violation),
    )


def _fix(case: Case, violation: Violation) -> str:
    """What the alert says to do, and the fix of the denial that this violation would lead to."""
    row = case.rules.maybe(Denial, case.today, number=violation.denial) if violation.denial is not None else None
    return f"{alert_row(case, violation.kind).action} {row.fix}" if row else ""


def _accepted(case: Case, violation: Violation) -> bool:
    """A disposition that accepts the bag was signed after the rule broke and has not run out."""
    signed = disposition_of(case.record, violation.bag_id) if violation.bag_id else None
    if signed is None or signed.data.disposition not in RESCUED:
        return False
    broke = max((case.by_event[event].occurred for event in violation.events), default=signed.occurred)
    return signed.occurred >= broke and not _run_out(case, signed)


def _run_out(case: Case, signed: Fact[cells.DispositionSigned]) -> bool:
    """The disposition ended before the bag was infused, or before now."""
    used = [i.started_at for i in case.record.infusions if i.bag_id == signed.data.bag_id]
    return signed.data.expires is not None and signed.data.expires <= min(used, default=case.now)


def _mismatch(name: str, what: str, events: tuple[str, ...], bag: str | None, denial: int | None = None) -> Violation:
    return Violation("identity_mismatch", name, what, events, bag, denial=denial)


def _ndc_denial(case: Case, ndc: str, on: date) -> int:
    """An NDC of a sister product is the wrong code (G440); one that nobody knows is not validated (G443)."""
    return WRONG_PRODUCT if ndc_of_another(case, ndc, on) else UNKNOWN_NDC


def _shared(case: Case, until: datetime | None) -> Iterator[Violation]:
    """Identifiers of this attempt's cells that another patient's encounter carries: whose cells they are is not known."""
    release = case.attempt.release
    facts: list[Fact[EventData]] = [*case.attempt.collections, *hand_overs(case, until)]
    facts += [release] if release is not None and (until is None or release.occurred <= until) else []
    for fact in facts if case.shared else ():
        for kind, value in aliases_of(fact.data):
            if (kind, value.strip()) in case.shared:
                bag = getattr(fact.data, "bag_id", None) or case.attempt.bag_id
                what = f"{NAMES.get(kind, kind)} used by no other patient"
                yield _mismatch(f"{kind}.shared", what, (fact.event_id,), bag)


def _one_number(case: Case, until: datetime | None) -> Iterator[Violation]:
    """The maker's number over the whole attempt, the ISBT 128 number over the finished product: one of each."""
    release = case.attempt.release
    scanned: list[Fact[EventData]] = [*case.attempt.collections, *hand_overs(case, until)]
    product: list[Fact[EventData]] = [fact for fact in hand_overs(case, until) if of_the_product(fact)]
    if release is not None and (until is None or release.occurred <= until):
        scanned, product = [*scanned, release], [*product, release]
    for field, facts in (("maker_id", scanned), ("isbt_128", product)):
        said = {getattr(fact.data, field, None): fact.event_id for fact in facts}
        said.pop(None, None)
        if len(said) > 1:
            what = f"one {NAMES[field]} on all scans"
            yield _mismatch(field, what, tuple(said.values()), case.attempt.bag_id)


def _origin(case: Case, until: datetime | None) -> Iterator[Violation]:
    """Chain-of-identity key and donation number of each hand-over against what was issued and collected."""
    keys = own_keys(case)
    numbers = {fact.data.din for fact in case.record.collections}
    for collection in case.attempt.collections:
        if collection.data.coi_id not in keys:
            what = "collection with the issued chain-of-identity key"
            yield _mismatch("collection.coi", what, (collection.event_id,), case.attempt.bag_id)
    for fact in hand_overs(case, until):
        if keys and fact.data.coi_id not in keys:
            what = "transfers with the collection's chain-of-identity key"
            yield _mismatch("coi", what, (fact.event_id,), fact.data.bag_id or case.attempt.bag_id)
        if numbers and fact.data.din is not None and fact.data.din not in numbers:
            what = "transfers with the collection's donation number"
            yield _mismatch("din", what, (fact.event_id,), fact.data.bag_id or case.attempt.bag_id)


def _release(case: Case, on: date, until: datetime | None) -> Iterator[Violation]:
    """The release against collection, product and the hand-overs of its bag."""
    release = case.attempt.release
    if release is None or (until is not None and release.occurred > until):
        return
    data, event, keys = release.data, release.event_id, own_keys(case)
    if keys and data.coi_id not in keys:
        what = "release with the collection's chain-of-identity key"
        yield _mismatch("release.coi", what, (event,), data.bag_id)
    if not ndc_fits(case, data.ndc, on):
        denial = _ndc_denial(case, data.ndc, on)
        yield _mismatch("release.ndc", "release with an NDC of the product", (event,), data.bag_id, denial)
    released = {fact.data.bag_id for fact in case.record.releases}
    for fact in hand_overs(case, until):
        if of_the_product(fact) and fact.data.bag_id is not None and fact.data.bag_id not in released:
            what = "transfers of a released bag"
            yield _mismatch("bag", what, (event, fact.event_id), fact.data.bag_id)
        if fact.data.bag_id != data.bag_id:
            continue
        pair = (event, fact.event_id)
        if fact.data.lot is not None and fact.data.lot != data.lot:
            yield _mismatch("lot", "same lot on release and transfers", pair, data.bag_id)
        if fact.data.ndc is not None and product_part(fact.data.ndc) != product_part(data.ndc):
            yield _mismatch("ndc", "same NDC on release and transfers", pair, data.bag_id)


def _label(case: Case, infusion: Infusion, on: date) -> Iterator[Violation]:
    """The label scanned at the bedside: it decides the Q-code, so it must be the product's own (G81)."""
    label, product, keys = infusion.last.data.label, case.product_row(on), own_keys(case)
    lots = _lots(case, infusion.bag_id)
    released = {fact.data.bag_id for fact in case.record.releases}
    checks = (
        ("label.coi", "the chain-of-identity key of the collection", not keys or label.coi_id in keys),
        ("label.hcpcs", "the code of the product", product is None or label.hcpcs == product.hcpcs),
        ("label.ndc", "an NDC of the product", ndc_fits(case, label.ndc, on)),
        ("label.lot", "the lot of the release", not lots or label.lot in lots),
        ("label.bag", "the number of a released bag", not released or infusion.bag_id in released),
    )
    for name, what, fits in checks:
        if not fits:
            denial = _label_denial(case, name, label.ndc, on)
            what = f"bedside label with {what}"
            yield _mismatch(name, what, (infusion.last.event_id,), infusion.bag_id, denial)


def _label_denial(case: Case, name: str, ndc: str, on: date) -> int | None:
    """The denial that a field of the label would lead to; None where the alert itself says it."""
    if name == "label.ndc":
        return _ndc_denial(case, ndc, on)
    return WRONG_PRODUCT if name == "label.hcpcs" else None


def _lots(case: Case, bag_id: str) -> set[str]:
    """The lot of the bag: as released, else as scanned on the way."""
    released = {fact.data.lot for fact in case.record.releases if fact.data.bag_id == bag_id}
    return released or {f.data.lot for f in case.record.custody if f.data.bag_id == bag_id and f.data.lot is not None}
