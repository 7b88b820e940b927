"""Keys of the rulebook and the site file by the names people use. An unknown key is shown as it is."""

from __future__ import annotations

from dataclasses import dataclass

from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, CustodyRule, DrugCode, Indication, Product
from domain.site import Site


@dataclass(frozen=True)
class Names:
    """What the pages call things."""

    site: Site | None
    rules: Rulebook | None

    @property
    def house(self) -> str:
        return self.site.name if self.site else "CAR-T encounters"

    def product(self, key: str) -> str:
        rows = self.rules.table(Product) if self.rules else ()
        return next((row.brand for row in rows if row.key == key), key)

    def products(self) -> list[tuple[str, str]]:
        rows = self.rules.table(Product) if self.rules else ()
        return list({row.key: (row.key, row.brand) for row in rows if row.enabled}.values())

    def ndc_prefixes(self) -> list[str]:
        """Labeler and product of every known product's codes, hyphenated."""
        rows = self.rules.table(Product) if self.rules else ()
        return sorted({prefix for row in rows for prefix in row.ndc_prefixes})

    def payer(self, key: str) -> str:
        found = self.site.payer(key) if self.site else None
        return found.name if found else key.replace("_", " ")

    def facility(self, key: str) -> str:
        found = self.site.facility(key) if self.site else None
        return found.name if found else key

    def facilities(self) -> list[tuple[str, str]]:
        return [(place.key, place.name) for place in self.site.facilities] if self.site else []

    def payers(self) -> list[tuple[str, str]]:
        return [(payer.key, payer.name) for payer in self.site.payers] if self.site else []

    def indications(self) -> list[tuple[str, str]]:
        rows = self.rules.table(Indication) if self.rules else ()
        return list({row.key: (row.key, row.title) for row in rows}.values())

    def drugs(self) -> list[tuple[str, str]]:
        rows = self.rules.table(DrugCode) if self.rules else ()
        return sorted({row.drug: (row.drug, row.drug.replace("_", " ")) for row in rows}.values())

    def zones(self) -> list[str]:
        """The time zones of the site's facilities, each once."""
        return list(dict.fromkeys(place.time_zone for place in self.site.facilities)) if self.site else ["UTC"]

    def step(self, key: str) -> str:
        row = self.hand_over(key)
        return row.title if row else key.replace("_", " ")

    def hand_over(self, step: str) -> CustodyRule | None:
        """The limits and demands on a hand-over."""
        rows = self.rules.table(CustodyRule) if self.rules else ()
        return next((row for row in rows if row.step == step), None)

    def owner(self, kind: str) -> str:
        """Who is alerted when a deadline of this kind passes, and so has to act before; empty when nobody knows."""
        rows = self.rules.table(AlertKind) if self.rules else ()
        return next((row.owner for row in rows if row.kind == kind), "")
