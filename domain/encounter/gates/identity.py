"""Identity of the cells, from vein to vein (corrections G, G81, G177, G440), and what a broken chain requires.

Every finding is a requirement without override. Only a correction of the facts resolves a mismatch, never a signature. A signed
disposition that accepts the bag also resolves a broken condition. Either one puts the bag in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from domain.encounter.attempts import RESCUED, disposition_of
from domain.encounter.context import EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.gates.chain import (
    Violation,
    ndc_fits,
    ndc_of_another,
    of_the_product,
    own_keys,
    product_part,
    transfers,
)
from domain.encounter.gates.condition import conditions
from domain.encounter.gates.requirements import alert_row, from_alert
from domain.encounter.model import Requirement
from domain.encounter.record import Infusion, aliases_of
from domain.events import EventData, cells
from domain.events.base import Stage
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


def identity(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return the chain up to a service, judged for its day: one requirement for each broken rule, or one that is met."""
    broken = list(open_violations(context, service))
    if not broken:
        return [_requirement(context, Violation("identity_mismatch", "chain", "", ()), True)]
    return [_requirement(context, violation, False) for violation in broken]


def shared_identity(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return a requirement for cell identifiers of another patient, for a gate that requires nothing else of the chain."""
    found = {violation.name: violation for violation in _shared(context, service.moment)}
    return [_requirement(context, violation, False) for violation in found.values()]


def open_violations(context: EncounterContext, service: Service) -> Iterator[Violation]:
    """Yield the broken rules that no disposition has resolved, one of each name with all its events."""
    merged: dict[str, Violation] = {}
    for found in violations(context, service):
        if found.by_disposition and _accepted(context, found):
            continue
        known = merged.get(found.name)
        events = tuple(dict.fromkeys((*(known.events if known else ()), *found.events)))
        merged[found.name] = replace(found, events=events)
    yield from merged.values()


def violations(context: EncounterContext, service: Service) -> Iterator[Violation]:
    """Yield every broken rule of the chain up to the service."""
    until = service.moment if service.performed and service.stage is not Stage.INFUSION else None
    yield from _shared(context, until)
    yield from _origin(context, until)
    if service.stage is Stage.MANUFACTURING:
        return
    yield from _release(context, service.on, until)
    yield from _one_number(context, until)
    yield from conditions(context, service, until)
    if service.stage is Stage.INFUSION:
        for infusion in context.record.infusions:
            yield from _label(context, infusion, service.on)


def quarantined(context: EncounterContext, service: Service) -> dict[str, tuple[str, ...]]:
    """Bags that a broken rule keeps in quarantine, with the events; an accepting disposition releases a bag."""
    bags: dict[str, tuple[str, ...]] = {}
    for violation in violations(context, service):
        bag = violation.bag_id
        if bag is not None and not _accepted(context, violation):
            bags[bag] = tuple(dict.fromkeys((*bags.get(bag, ()), *violation.events)))
    return bags


def _requirement(context: EncounterContext, violation: Violation, met: bool) -> Requirement:
    return from_alert(
        context,
        violation.kind,
        f"identity.{violation.name}",
        "identity",
        met,
        "" if met else violation.what,
        releases_on=SIGNED if violation.by_disposition else CORRECTED,
        overridable=False,
        evidence=violation.events,
        denial=violation.denial,
        fix=_fix(context, violation),
    )


def _fix(context: EncounterContext, violation: Violation) -> str:
    """Return the action of the alert and the fix of the denial that this violation would lead to."""
    row = context.rules.maybe(Denial, context.today, number=violation.denial) if violation.denial is not None else None
    return f"{alert_row(context, violation.kind).action} {row.fix}" if row else ""


def _accepted(context: EncounterContext, violation: Violation) -> bool:
    """Whether a disposition that accepts the bag was signed after the rule broke and has not expired."""
    signed = disposition_of(context.record, violation.bag_id) if violation.bag_id else None
    if signed is None or signed.data.disposition not in RESCUED:
        return False
    broke = max((context.by_event[event].occurred for event in violation.events), default=signed.occurred)
    return signed.occurred >= broke and not _run_out(context, signed)


def _run_out(context: EncounterContext, signed: Fact[cells.DispositionSigned]) -> bool:
    """Whether the disposition expired before the bag was infused, or before now."""
    used = [i.started_at for i in context.record.infusions if i.bag_id == signed.data.bag_id]
    return signed.data.expires is not None and signed.data.expires <= min(used, default=context.now)


def _mismatch(name: str, what: str, events: tuple[str, ...], bag: str | None, denial: int | None = None) -> Violation:
    return Violation("identity_mismatch", name, what, events, bag, denial=denial)


def _ndc_denial(context: EncounterContext, ndc: str, on: date) -> int:
    """Return the denial of an NDC: another product's is the wrong code (G440), an unknown one is not validated (G443)."""
    return WRONG_PRODUCT if ndc_of_another(context, ndc, on) else UNKNOWN_NDC


def _shared(context: EncounterContext, until: datetime | None) -> Iterator[Violation]:
    """Yield identifiers of this attempt's cells that also appear in another patient's encounter: whose cells is unknown."""
    release = context.attempt.release
    facts: list[Fact[EventData]] = [*context.attempt.collections, *transfers(context, until)]
    facts += [release] if release is not None and (until is None or release.occurred <= until) else []
    for fact in facts if context.shared else ():
        for kind, value in aliases_of(fact.data):
            if (kind, value.strip()) in context.shared:
                bag = getattr(fact.data, "bag_id", None) or context.attempt.bag_id
                what = f"{NAMES.get(kind, kind)} used by no other patient"
                yield _mismatch(f"{kind}.shared", what, (fact.event_id,), bag)


def _one_number(context: EncounterContext, until: datetime | None) -> Iterator[Violation]:
    """Yield more than one manufacturer number in the attempt, or more than one ISBT 128 number on the finished product."""
    release = context.attempt.release
    scanned: list[Fact[EventData]] = [*context.attempt.collections, *transfers(context, until)]
    product: list[Fact[EventData]] = [fact for fact in transfers(context, until) if of_the_product(fact)]
    if release is not None and (until is None or release.occurred <= until):
        scanned, product = [*scanned, release], [*product, release]
    for field, facts in (("maker_id", scanned), ("isbt_128", product)):
        values = {getattr(fact.data, field, None): fact.event_id for fact in facts}
        values.pop(None, None)
        if len(values) > 1:
            what = f"one {NAMES[field]} on all scans"
            yield _mismatch(field, what, tuple(values.values()), context.attempt.bag_id)


def _origin(context: EncounterContext, until: datetime | None) -> Iterator[Violation]:
    """Compare chain-of-identity key and donation number of each transfer with those issued and collected."""
    keys = own_keys(context)
    numbers = {fact.data.din for fact in context.record.collections}
    for collection in context.attempt.collections:
        if collection.data.coi_id not in keys:
            what = "collection with the issued chain-of-identity key"
            yield _mismatch("collection.coi", what, (collection.event_id,), context.attempt.bag_id)
    for fact in transfers(context, until):
        if keys and fact.data.coi_id not in keys:
            what = "transfers with the collection's chain-of-identity key"
            yield _mismatch("coi", what, (fact.event_id,), fact.data.bag_id or context.attempt.bag_id)
        if numbers and fact.data.din is not None and fact.data.din not in numbers:
            what = "transfers with the collection's donation number"
            yield _mismatch("din", what, (fact.event_id,), fact.data.bag_id or context.attempt.bag_id)


def _release(context: EncounterContext, on: date, until: datetime | None) -> Iterator[Violation]:
    """Compare the release with the collection, the product and the transfers of its bag."""
    release = context.attempt.release
    if release is None or (until is not None and release.occurred > until):
        return
    data, event, keys = release.data, release.event_id, own_keys(context)
    if keys and data.coi_id not in keys:
        what = "release with the collection's chain-of-identity key"
        yield _mismatch("release.coi", what, (event,), data.bag_id)
    if not ndc_fits(context, data.ndc, on):
        denial = _ndc_denial(context, data.ndc, on)
        yield _mismatch("release.ndc", "release with an NDC of the product", (event,), data.bag_id, denial)
    released = {fact.data.bag_id for fact in context.record.releases}
    for fact in transfers(context, until):
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


def _label(context: EncounterContext, infusion: Infusion, on: date) -> Iterator[Violation]:
    """Check the label scanned at the bedside: it decides the Q-code, so it must match the product (G81)."""
    label, product, keys = infusion.last.data.label, context.product_row(on), own_keys(context)
    lots = _lots(context, infusion.bag_id)
    released = {fact.data.bag_id for fact in context.record.releases}
    checks = (
        ("label.coi", "the chain-of-identity key of the collection", not keys or label.coi_id in keys),
        ("label.hcpcs", "the code of the product", product is None or label.hcpcs == product.hcpcs),
        ("label.ndc", "an NDC of the product", ndc_fits(context, label.ndc, on)),
        ("label.lot", "the lot of the release", not lots or label.lot in lots),
        ("label.bag", "the number of a released bag", not released or infusion.bag_id in released),
    )
    for name, what, fits in checks:
        if not fits:
            denial = _label_denial(context, name, label.ndc, on)
            what = f"bedside label with {what}"
            yield _mismatch(name, what, (infusion.last.event_id,), infusion.bag_id, denial)


def _label_denial(context: EncounterContext, name: str, ndc: str, on: date) -> int | None:
    """The denial that a label field would lead to; None if the alert itself names it."""
    if name == "label.ndc":
        return _ndc_denial(context, ndc, on)
    return WRONG_PRODUCT if name == "label.hcpcs" else None


def _lots(context: EncounterContext, bag_id: str) -> set[str]:
    """The lot of the bag: as released, else as scanned before."""
    released = {fact.data.lot for fact in context.record.releases if fact.data.bag_id == bag_id}
    return released or {
        f.data.lot for f in context.record.custody if f.data.bag_id == bag_id and f.data.lot is not None
    }
