"""Names for the keys of the rulebook and the site file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.events import access
from domain.rulebook import Rulebook
from domain.rulebook.rows import Checklist, CustodyRule, Indication, Product
from domain.site import Site

SCALES = {"astct_2019": "ASTCT consensus 2019", "lee_2014": "Lee 2014", "ctcae_5": "CTCAE 5.0"}


@dataclass(frozen=True)
class Words:
    """The names that the packet shows; a key without a name is shown as it is."""

    site: Site
    rules: Rulebook

    def key(self, key: str) -> str:
        return key.replace("_", " ")

    def product(self, key: str) -> str:
        return next((row.brand for row in self.rules.table(Product) if row.key == key), self.key(key))

    def generic(self, key: str) -> str | None:
        return next((row.generic for row in self.rules.table(Product) if row.key == key), None)

    def indication(self, product: str, key: str, on: date) -> str:
        row = self.rules.maybe(Indication, on, product=product, key=key)
        return row.title if row else self.key(key)

    def age_least(self, product: str, indication: str, on: date) -> int | None:
        """The age in years at which the indication of the label begins; None where the rulebook has none."""
        row = self.rules.maybe(Indication, on, product=product, key=indication)
        return row.age_min if row else None

    def facility(self, key: str) -> str:
        found = self.site.facility(key)
        return found.name if found else key

    def payer(self, key: str) -> str:
        found = self.site.payer(key)
        return found.name if found else self.key(key)

    def step(self, key: str) -> str:
        return next((row.title for row in self.rules.table(CustodyRule) if row.step == key), self.key(key))

    def scale(self, key: str) -> str:
        return SCALES.get(key, self.key(key))

    def document(self, kind: str) -> str:
        return next((row.title for row in self.rules.table(Checklist) if kind in row.evidence), self.key(kind))

    def values(self, document: access.EvidenceAdded) -> dict[str, str]:
        """The values of a document, without the holder of a certificate, who may be a person."""
        found = getattr(document, "values", None)
        if found is None:
            return {}
        body = found.model_dump(mode="json", exclude_none=True, exclude={"holder"})
        return {name: _shown(value) for name, value in body.items()}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")
