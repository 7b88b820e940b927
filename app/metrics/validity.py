"""Counts certificates by days left, and rulebook rows by status and review date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from sqlmodel import select

from app.metrics.families import Sample, sample
from app.metrics.reading import Reading
from domain.events.governance import CertificationStatus
from domain.rulebook import Rulebook
from domain.rulebook.stale import stale
from domain.site import Site
from store.keys import Keyring
from store.tables import CertificationRow

BANDS = ((7, "7d"), (30, "30d"), (60, "60d"), (90, "90d"))
EVERY_PRODUCT = "any"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate; the holder is a key."""

    layer: str
    product: str
    holder: str
    valid_to: date | None


def count_certificates(reading: Reading, site: Site | None) -> Iterator[Sample]:
    """Yields the current certificate of every holder, layer and product by days left."""
    first_end: dict[tuple[str, str], int] = {}
    for certificate in _in_effect(reading, site):
        left = (certificate.valid_to - reading.now.date()).days if certificate.valid_to else None
        yield sample("cart_certifications", 1, certificate.layer, certificate.product, _band(left))
        if left is not None:
            key = (certificate.layer, certificate.product)
            first_end[key] = min(left, first_end.get(key, left))
    for (layer, product), left in first_end.items():
        yield sample("cart_certification_days_left", left, layer, product)


def _band(left: int | None) -> str:
    if left is None:
        return "open"
    if left < 0:
        return "expired"
    return next((name for days, name in BANDS if left <= days), "later")


def _in_effect(reading: Reading, site: Site | None) -> list[Certificate]:
    """Returns one certificate per holder, layer and product: the last to expire, unless a later event ended it."""
    longest: dict[tuple[str, str, str], Certificate] = {}
    for certificate in _of_site(site, reading.keys):
        _keep_longer(longest, certificate)
    for row in reading.session.exec(select(CertificationRow).order_by(CertificationRow.time)):  # type: ignore[arg-type]
        certificate = Certificate(row.layer, row.product or EVERY_PRODUCT, row.holder_key, row.valid_to)
        if row.status == CertificationStatus.ACTIVE.value:
            _keep_longer(longest, certificate)
        else:
            longest.pop((certificate.layer, certificate.product, certificate.holder), None)
    return list(longest.values())


def _of_site(site: Site | None, keys: Keyring | None) -> Iterator[Certificate]:
    for entry in site.certifications if site else ():
        holder = keys.digest("holder", entry.holder) if keys else entry.holder
        yield Certificate(entry.layer.value, entry.product or EVERY_PRODUCT, holder, entry.valid_to)


def _keep_longer(longest: dict[tuple[str, str, str], Certificate], certificate: Certificate) -> None:
    key = (certificate.layer, certificate.product, certificate.holder)
    held = longest.get(key)
    if held is None or (
        held.valid_to is not None and (certificate.valid_to is None or certificate.valid_to > held.valid_to)
    ):
        longest[key] = certificate


def count_rules(rules: Rulebook, on: date) -> Iterator[Sample]:
    """Yields rows by status, and rows past their review date."""
    statuses: Mapping[str, int] = Counter(row.status for rows in rules.rows.values() for row in rows)
    yield from (sample("cart_rulebook_rows", count, status) for status, count in statuses.items())
    late = Counter(each.row.table for each in stale(rules, on))
    yield from (sample("cart_rulebook_rows_stale", late[table], table) for table in rules.rows)
