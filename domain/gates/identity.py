"""Identity and condition of the bag, from vein to vein (corrections G, G81, G177, G440).

Every finding is a requirement that nobody can override. A mismatch of identity goes only with a correction of the facts.
A broken condition (temperature, seal, refusal, dose above the cap, out of specification, thaw clock) also goes with a
signed disposition that accepts the bag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from domain.attempts import RESCUED, disposition_of
from domain.case import Case, Service
from domain.decision import Requirement
from domain.events import cells
from domain.events.base import Stage
from domain.events.cells import CustodyStep
from domain.facts import Fact
from domain.gates.rows import from_alert
from domain.rulebook.rows import CustodyRule


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of the chain. `kind` is its alert, `what` what differs or broke, in plain words."""

    kind: str
    name: str
    what: str
    events: tuple[str, ...]
    bag_id: str | None = None
    by_disposition: bool = False


def identity(case: Case, service: Service) -> list[Requirement]:
    """The chain up to a service, judged for its day; one requirement for each broken rule, or one that is met."""
    broken = list(standing(case, service))
    if not broken:
        return [_requirement(case, Violation("identity_mismatch", "chain", "", ()), True)]
    return [_requirement(case, violation, False) for violation in broken]


def standing(case: Case, service: Service) -> Iterator[Violation]:
    """The broken rules that no disposition has settled."""
    seen: set[str] = set()
    for violation in violations(case, service):
        if violation.name not in seen and not _settled(case, violation):
            seen.add(violation.name)
            yield violation


def violations(case: Case, service: Service) -> Iterator[Violation]:
    """Every broken rule of the chain up to the service."""
    until = service.moment if service.performed and service.stage is not Stage.INFUSION else None
    yield from _origin(case, until)
    if service.stage is Stage.MANUFACTURING:
        return
    yield from _release(case, service, until)
    yield from _conditions(case, until)
    if service.stage is Stage.INFUSION:
        yield from _label(case, service.on)
        yield from _bedside(case, service.on)


def quarantined(case: Case, service: Service) -> dict[str, tuple[str, ...]]:
    """Bags that a broken rule keeps in quarantine, with the events; a signed disposition takes a bag out."""
    bags: dict[str, tuple[str, ...]] = {}
    for violation in violations(case, service):
        bag = violation.bag_id
        if bag is None or _signed_after(case, violation) is not None:
            continue
        bags[bag] = tuple(dict.fromkeys((*bags.get(bag, ()), *violation.events)))
    return bags


def _requirement(case: Case, violation: Violation, met: bool) -> Requirement:
    releases = (
        ("cart.correction.made", "cart.disposition.signed") if violation.by_disposition else ("cart.correction.made",)
    )
    return from_alert(
        case,
        violation.kind,
        f"identity.{violation.name}",
        "identity",
        met,
        "" if met else violation.what,
        releases_on=releases,
        overridable=False,
        evidence=violation.events,
    )


def _settled(case: Case, violation: Violation) -> bool:
    return violation.by_disposition and _signed_after(case, violation) is not None


def _signed_after(case: Case, violation: Violation) -> Fact[cells.DispositionSigned] | None:
    """The accepting disposition of the bag that was signed after the rule broke and has not run out."""
    signed = disposition_of(case.record, violation.bag_id) if violation.bag_id else None
    if signed is None or signed.data.disposition not in RESCUED:
        return None
    broke = max((case.by_event[event].occurred for event in violation.events if event in case.by_event), default=None)
    if broke is not None and signed.occurred < broke:
        return None
    return None if signed.data.expires is not None and signed.data.expires <= case.now else signed


def _in_attempt(case: Case, until: datetime | None) -> list[Fact[cells.CustodyRecorded]]:
    return [
        fact
        for fact in case.record.custody
        if fact.occurred > case.attempt.since and (until is None or fact.occurred <= until)
    ]


def _origin(case: Case, until: datetime | None) -> Iterator[Violation]:
    """Chain-of-identity key and donation number of each hand-over against the collections."""
    keys = {fact.data.coi_id for fact in case.record.collections}
    keys |= {fact.data.coi_id for fact in case.record.custody if fact.data.step is CustodyStep.COI_ISSUED}
    numbers = {fact.data.din for fact in case.record.collections}
    for fact in _in_attempt(case, until):
        if keys and fact.data.coi_id not in keys:
            yield _differs("coi", "the chain-of-identity key scanned at a hand-over", fact)
        if numbers and fact.data.din is not None and fact.data.din not in numbers:
            yield _differs("din", "the donation number scanned at a hand-over", fact)


def _differs(name: str, what: str, fact: Fact[cells.CustodyRecorded]) -> Violation:
    text = f"{what} differs from the collection"
    return Violation("identity_mismatch", name, text, (fact.event_id,), fact.data.bag_id)


def _release(case: Case, service: Service, until: datetime | None) -> Iterator[Violation]:
    """The release against collection, product and hand-overs; its certificate of analysis against the label."""
    release = case.attempt.release
    if release is None or (until is not None and release.occurred > until):
        return
    data, event = release.data, release.event_id
    keys = {fact.data.coi_id for fact in case.record.collections}
    if keys and data.coi_id not in keys:
        yield Violation(
            "identity_mismatch",
            "release.coi",
            "the release names another chain-of-identity key than the collection",
            (event,),
            data.bag_id,
        )
    if not _ndc_fits(case, data.ndc, service.on):
        yield Violation(
            "identity_mismatch",
            "release.ndc",
            "the NDC of the release is not one of the product",
            (event,),
            data.bag_id,
        )
    for fact in _in_attempt(case, until):
        if fact.data.bag_id != data.bag_id:
            continue
        if fact.data.lot is not None and fact.data.lot != data.lot:
            yield Violation(
                "identity_mismatch",
                "lot",
                "the lot scanned at a hand-over differs from the release",
                (event, fact.event_id),
                data.bag_id,
            )
        if fact.data.ndc is not None and product_part(fact.data.ndc) != product_part(data.ndc):
            yield Violation(
                "identity_mismatch",
                "ndc",
                "the NDC scanned at a hand-over differs from the release",
                (event, fact.event_id),
                data.bag_id,
            )
    if service.stage is Stage.INFUSION and data.expires_on < service.on:
        yield Violation("product_expired", "expiry", "a product that is not expired on the day", (event,), data.bag_id)
    label = case.indication_row(service.on)
    if label is not None and label.cells_cap is not None and data.viable_car_cells > label.cells_cap:
        yield Violation(
            "dose_above_cap",
            "cap",
            "a dose within the cap of the label on the certificate of analysis",
            (event,),
            data.bag_id,
            True,
        )


def _conditions(case: Case, until: datetime | None) -> Iterator[Violation]:
    """Temperature, seal and acceptance of each hand-over; out of specification."""
    for fact in _in_attempt(case, until):
        bag = fact.data.bag_id or case.attempt.bag_id
        limit = _rule(case, fact.data.step, case.day(fact.occurred))
        warm = limit.temperature_max_c if limit else None
        if warm is not None and fact.data.temperature is not None and fact.data.temperature.max > warm:
            yield _broken("temperature", "a logger without excursion above the limit", fact, bag)
        if fact.data.seal_intact is False:
            yield _broken("seal", "an intact seal", fact, bag)
        if fact.data.accepted is False:
            yield _broken("refused", "a bag that the centre accepts", fact, bag)
        if fact.data.step is CustodyStep.OUT_OF_SPECIFICATION:
            yield Violation(
                "out_of_specification", "specification", "a product within specification", (fact.event_id,), bag, True
            )
    for failure in case.record.failures:
        if failure.data.out_of_specification and failure.occurred > case.attempt.since:
            bag = failure.data.bag_id or case.attempt.bag_id
            yield Violation(
                "out_of_specification",
                "specification",
                "a product within specification",
                (failure.event_id,),
                bag,
                True,
            )


def _broken(name: str, what: str, fact: Fact[cells.CustodyRecorded], bag: str | None) -> Violation:
    return Violation("broken_chain_condition", name, what, (fact.event_id,), bag, True)


def _label(case: Case, on: date) -> Iterator[Violation]:
    """The label scanned at the bedside: it decides the Q-code, so it must be the product's own (G81)."""
    product = case.product_row(on)
    for infusion in case.record.infusions:
        label, event, bag = infusion.last.data.label, infusion.last.event_id, infusion.bag_id
        release = next((r for r in reversed(case.record.releases) if r.data.bag_id == bag), None)
        keys = {fact.data.coi_id for fact in case.record.collections}
        pairs: list[tuple[str, str, bool]] = [
            ("label.coi", "the chain-of-identity key on the label", not keys or label.coi_id in keys),
            ("label.hcpcs", "the code on the label", product is None or label.hcpcs == product.hcpcs),
            ("label.ndc", "the NDC on the label", _ndc_fits(case, label.ndc, on)),
            ("label.lot", "the lot on the label", release is None or label.lot == release.data.lot),
            ("label.bag", "the bag at the bedside", not case.record.releases or release is not None),
        ]
        for name, what, fits in pairs:
            if not fits:
                yield Violation(
                    "identity_mismatch", name, f"{what} does not belong to this patient's product", (event,), bag
                )


def _bedside(case: Case, on: date) -> Iterator[Violation]:
    """Two verifiers, the thaw clock, the cells infused against the cap."""
    label = case.indication_row(on)
    wanted = _rule(case, CustodyStep.BEDSIDE_CHECK, on)
    for infusion in case.record.infusions:
        data, event = infusion.last.data, infusion.last.event_id
        people = set(data.verified_by) | _checked_by(case, infusion.bag_id)
        if wanted is not None and len(people) < wanted.verifiers:
            yield Violation(
                "verifier_missing",
                "verifiers",
                "a second, different person at the bedside check",
                (event,),
                infusion.bag_id,
            )
        over = label is not None and label.cells_cap is not None and (data.cells_infused or 0) > label.cells_cap
        if over:
            yield Violation(
                "dose_above_cap",
                "cap.infused",
                "cells infused within the cap of the label",
                (event,),
                infusion.bag_id,
                True,
            )
    yield from _thaw(case)


def _checked_by(case: Case, bag_id: str) -> set[str]:
    people: set[str] = set()
    for fact in case.record.custody:
        if fact.data.step is CustodyStep.BEDSIDE_CHECK and fact.data.bag_id == bag_id:
            people |= {fact.data.by, *([fact.data.second_verifier] if fact.data.second_verifier else [])}
    return people


def _thaw(case: Case) -> Iterator[Violation]:
    for fact in case.record.custody:
        rule = _rule(case, CustodyStep.THAW, case.day(fact.occurred))
        if fact.data.step is not CustodyStep.THAW or rule is None or rule.hours_max is None:
            continue
        ended = [i.ended_at for i in case.record.infusions if i.ended_at and fact.data.bag_id in (None, i.bag_id)]
        hours = (min(ended, default=case.now) - fact.occurred).total_seconds() / 3600
        if hours > float(rule.hours_max):
            bag = fact.data.bag_id or case.attempt.bag_id
            yield Violation("thaw_clock", "thaw", "an infusion within the thaw clock", (fact.event_id,), bag, True)


def _rule(case: Case, step: CustodyStep, on: date) -> CustodyRule | None:
    return case.rules.maybe(CustodyRule, on, step=step.value, product=case.product)


def _ndc_fits(case: Case, ndc: str, on: date) -> bool:
    """True when the NDC is one of the product, or the product's NDCs are not known."""
    product = case.product_row(on)
    if product is None or not product.ndc_prefixes:
        return True
    return product_part(ndc) in {product_part(prefix) for prefix in product.ndc_prefixes}


def product_part(ndc: str) -> str:
    """Labeler and product, nine digits: bag and package of one product are one (corrections B19)."""
    if "-" not in ndc:
        return ndc[:9]
    labeler, product, *_ = ndc.split("-")
    return labeler.zfill(5) + product.zfill(4)


def all_events(violations_: Iterable[Violation]) -> tuple[str, ...]:
    """The events of several violations, each once."""
    return tuple(dict.fromkeys(event for violation in violations_ for event in violation.events))
