"""Which certificates are in effect on a day: those of the site file, and every change reported since.

A suspension or revocation applies to the days it covers until a later report reactivates the certificate. An active
certificate counts on the days it covers, first and last day included. A repeated report of a certificate (same first day)
replaces the previous one. A certificate of another product never counts (G195).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from domain.encounter.attempts import BEGINNING
from domain.encounter.context import EncounterContext
from domain.events.governance import CertificationChanged, CertificationStatus


@dataclass(frozen=True, slots=True)
class Report:
    """One report of a certificate: when it was made, and its event (None: the site file)."""

    made: tuple[datetime, str]
    event: str | None
    change: CertificationChanged


def reports(context: EncounterContext, layer: str, holder: str) -> tuple[Report, ...]:
    """All reports of a holder's certificates of one layer, oldest first."""
    found = [
        Report((BEGINNING, ""), None, filed.as_change())
        for filed in context.site.certifications
        if filed.layer.value == layer and filed.holder == holder
    ]
    found += [
        Report((fact.time, fact.event_id), fact.event_id, fact.data)
        for fact in context.certificate_changes.get((layer, holder), ())
    ]
    return tuple(sorted(found, key=lambda report: report.made))


def certificate_in_effect(found: Iterable[Report], product: str | None, on: date) -> Report | None:
    """Return the certificate in effect on the day, or None. `product` None: the layer is not per product."""
    mine = [r for r in found if product is None or r.change.product in (None, product)]
    closings = [r.made for r in mine if not _active(r) and _covers(r.change, on)]
    closed_at = max(closings, default=None)
    counting = [
        r
        for r in mine
        if _active(r)
        and (product is None or r.change.product == product)
        and _covers(r.change, on)
        and not _restated(r, mine)
        and (closed_at is None or r.made > closed_at)
    ]
    return max(counting, key=lambda r: (r.change.valid_to or date.max, r.made), default=None)


def _active(report: Report) -> bool:
    return report.change.status is CertificationStatus.ACTIVE


def _covers(change: CertificationChanged, on: date) -> bool:
    return change.valid_from <= on and (change.valid_to is None or on <= change.valid_to)


def _restated(report: Report, among: Iterable[Report]) -> bool:
    """Whether a later report is about the same certificate: same product, same first day."""
    return any(
        _active(other)
        and other.made > report.made
        and (other.change.product, other.change.valid_from) == (report.change.product, report.change.valid_from)
        for other in among
    )
