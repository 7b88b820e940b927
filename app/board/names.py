"""Display names of rulebook and site file keys. An unknown key is shown unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, CustodyRule, DrugCode, Indication, Product
from domain.site import Site


@dataclass(frozen=True)
class Names:
    """Display names used by the pages."""

    site: Site | None
    rules: Rulebook | None

    @property
    def installation(self) -> str:
        return self.site.name if self.site else "CAR-T encounters"

    def product(self, key: str) -> str:
        rows = self.rules.table(Product) if self.rules else ()
        return next((row.brand for row in rows if row.key == key), key)

    def products(self) -> list[tuple[str, str]]:
        rows = self.rules.table(Product) if self.rules else ()
        return list({row.key: (row.key, row.brand) for row in rows if row.enabled}.values())

    def ndc_prefixes(self) -> list[str]:
        """Returns labeler and product segments of every known NDC, hyphenated."""
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
        """Returns the time zones of the site's facilities, each once."""
        return list(dict.fromkeys(place.time_zone for place in self.site.facilities)) if self.site else ["UTC"]

    def step(self, key: str) -> str:
        row = self.custody_rule(key)
        return row.title if row else key.replace("_", " ")

    def custody_rule(self, step: str) -> CustodyRule | None:
        """Returns the rule of a custody transfer, if there is one."""
        rows = self.rules.table(CustodyRule) if self.rules else ()
        return next((row for row in rows if row.step == step), None)

    def owner(self, kind: str) -> str:
        """Returns the role that owns deadlines of this kind; empty if unknown."""
        rows = self.rules.table(AlertKind) if self.rules else ()
        return next((row.owner for row in rows if row.kind == kind), "")

    def cite(self, rule: str) -> str:
        """Returns the source that a nurse or biller would cite for a rule; empty if there is none."""
        return self._cites.get(rule, "")

    @cached_property
    def _cites(self) -> Mapping[str, str]:
        tables = self.rules.rows.values() if self.rules else ()
        return {row.id: row.cite for rows in tables for row in rows}
