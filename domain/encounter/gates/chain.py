"""The chain from vein to vein, as identity and condition read it: transfers of the attempt, keys, limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from domain.encounter.context import EncounterContext
from domain.encounter.facts import Fact
from domain.events import cells
from domain.events.cells import CustodyStep
from domain.rulebook.rows import CustodyRule, Product

ORDER = tuple(CustodyStep)
Transfer = Fact[cells.CustodyRecorded]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of the chain.

    Attributes:
        kind: its alert.
        name: which rule; the key of its requirement.
        what: what differs or is missing, in plain words.
        by_disposition: a signed disposition that accepts the bag resolves it.
        denial: which of the twelve denials it would lead to, if its alert does not name one.
    """

    kind: str
    name: str
    what: str
    events: tuple[str, ...]
    bag_id: str | None = None
    by_disposition: bool = False
    denial: int | None = None


def transfers(context: EncounterContext, until: datetime | None) -> list[Transfer]:
    """The transfers of this attempt up to a moment."""
    return [
        fact
        for fact in context.record.custody
        if fact.occurred > context.attempt.since and (until is None or fact.occurred <= until)
    ]


def of_the_product(fact: Transfer) -> bool:
    """Whether the transfer is of the finished product: released or later in the chain."""
    return ORDER.index(fact.data.step) >= ORDER.index(CustodyStep.RELEASED)


def own_keys(context: EncounterContext) -> set[str]:
    """The chain-of-identity keys of this encounter: as issued, else from the collections (corrections G)."""
    issued = {fact.data.coi_id for fact in context.record.custody if fact.data.step is CustodyStep.COI_ISSUED}
    return issued or {fact.data.coi_id for fact in context.record.collections}


def limit(context: EncounterContext, step: CustodyStep, on: date) -> CustodyRule | None:
    """The rulebook's limits and requirements for a transfer."""
    return context.rules.maybe(CustodyRule, on, step=step.value, product=context.product)


def ndc_fits(context: EncounterContext, ndc: str, on: date) -> bool:
    """Whether the NDC is one of the product, or the product's NDCs are not known."""
    product = context.product_row(on)
    if product is None or not product.ndc_prefixes:
        return True
    return product_part(ndc) in {product_part(prefix) for prefix in product.ndc_prefixes}


def ndc_of_another(context: EncounterContext, ndc: str, on: date) -> bool:
    """Whether the NDC belongs to a product other than the planned one."""
    return any(
        product_part(ndc) in {product_part(prefix) for prefix in row.ndc_prefixes}
        for row in context.rules.find(Product, on)
        if row.key != context.product
    )


def product_part(ndc: str) -> str:
    """Return labeler and product, nine digits: bag and package of one product are equal (corrections B19)."""
    if "-" not in ndc:
        return ndc[:9]
    labeler, product, *_ = ndc.split("-")
    return labeler.zfill(5) + product.zfill(4)
