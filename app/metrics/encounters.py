"""Counts encounters, holds, times between milestones, and chains of identity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select as wide_select
from sqlmodel import col, func, select

from app.metrics.families import Sample, age_band, sample
from app.metrics.reading import Reading
from domain.custody.ledger import check_ledger
from store.tables import ClaimVersion, CustodyIndex, CustodyRecord, Encounter

SPANS: Mapping[str, tuple[str, str]] = {
    "cart_vein_to_vein_days": ("apheresis", "infusion"),
    "cart_brain_to_vein_days": ("referral", "infusion"),
    "cart_collection_to_release_days": ("apheresis", "release"),
}
"""From the last occurrence of the first milestone before the second; a failed attempt does not count."""

FAILED, COLLECTED = "manufacturing_failed", "apheresis"
MILESTONES = frozenset({FAILED, *(name for pair in SPANS.values() for name in pair)})
SECONDS_A_DAY = 86_400.0


def count_encounters(reading: Reading) -> Iterator[Sample]:
    """Yields encounters by their last decision."""
    rows = reading.session.execute(
        wide_select(
            col(Encounter.encounter_id),
            col(Encounter.status),
            col(Encounter.stage),
            col(Encounter.product),
            col(Encounter.payer_class),
            col(Encounter.holds_open),
            col(Encounter.created_at),
            col(Encounter.next_due),
            col(Encounter.decided_sequence),
            col(Encounter.decided_at),
        )
    ).all()
    views = reading.views.refresh({row[0]: (row[8], row[9]) for row in rows}, lambda names: _read_views(reading, names))
    for name, status, stage, product, payer_class, holds, created, due, *_ in rows:
        view = views.get(name, {})
        yield from _course(view)
        if status != "open":
            yield sample("cart_encounters_closed", 1, view.get("outcome"))
            continue
        began = min([created, *(at for _, at in view.get("milestones", ()))])
        yield sample("cart_encounters", 1, stage, holds > 0, age_band(reading.now - began))
        yield sample("cart_encounters_open", 1, product, payer_class)
        if due and due < reading.now:
            yield sample("cart_encounters_overdue", 1, stage)
        yield from _holds(view)


def _read_views(reading: Reading, names: Sequence[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    rows = reading.session.exec(
        select(Encounter.encounter_id, Encounter.view).where(col(Encounter.encounter_id).in_(names))
    )
    for name, view in rows:
        yield (
            name,
            {
                "outcome": view.get("outcome"),
                "holds": [
                    (hold["kind"], hold["owner"], str(hold["scope"]).split(":")[0], bool(hold.get("override")))
                    for hold in view.get("holds", ())
                ],
                "milestones": [
                    (step["name"], datetime.fromisoformat(step["at"]))
                    for step in view.get("milestones", ())
                    if step["name"] in MILESTONES and not step["planned"]
                ],
                "toxicity": view.get("toxicity"),
                "waiting": [(entry["letter"], entry["total"], entry["through"]) for entry in view.get("unbilled", ())],
            },
        )


def _course(view: Mapping[str, Any]) -> Iterator[Sample]:
    """Yields manufacturing failures and documented grades of open and closed encounters."""
    for syndrome, grade in (view.get("toxicity") or {}).items():
        yield sample("cart_toxicity", 1, syndrome, grade)
    moments = _passed(view)
    for failed in moments.get(FAILED, ()):
        replaced = any(at > failed for at in moments.get(COLLECTED, ()))
        yield sample("cart_manufactures_failed", 1, "replaced" if replaced else "open")


def _holds(view: Mapping[str, Any]) -> Iterator[Sample]:
    for kind, owner, scope, overridden in view.get("holds", ()):
        if overridden:
            yield sample("cart_holds_overridden", 1, kind)
        else:
            yield sample("cart_holds", 1, kind, owner, scope)


def count_spans(reading: Reading) -> Iterator[Sample]:
    """Yields days between milestones, one observation per encounter that reached the second; after `count_encounters`."""
    passed = {name: _passed(view) for name, (_, view) in reading.views.digests.items()}
    for name, (begins, ends) in SPANS.items():
        for moments in passed.values():
            days = _days_between(moments.get(begins, ()), moments.get(ends, ()))
            if days is not None:
                yield sample(name, days)
    first_claims = reading.session.exec(
        select(ClaimVersion.encounter_id, func.min(ClaimVersion.emitted_at))
        .where(ClaimVersion.letter == "A", col(ClaimVersion.emitted_at).is_not(None))
        .group_by(ClaimVersion.encounter_id)
    ).all()
    for encounter, emitted in first_claims:
        collected = passed.get(encounter, {}).get("apheresis")
        if collected and emitted and emitted >= min(collected):
            yield sample("cart_collection_to_claim_days", (emitted - min(collected)).total_seconds() / SECONDS_A_DAY)


def _passed(view: Mapping[str, Any]) -> dict[str, list[datetime]]:
    """Returns the times of milestones that an encounter has reached."""
    moments: dict[str, list[datetime]] = {}
    for name, at in view.get("milestones", ()):
        moments.setdefault(name, []).append(at)
    return moments


def _days_between(begins: Sequence[datetime], ends: Sequence[datetime]) -> float | None:
    if not begins or not ends:
        return None
    end = min(ends)
    before = [begin for begin in begins if begin <= end]
    return (end - max(before)).total_seconds() / SECONDS_A_DAY if before else None


def check_chains(reading: Reading) -> list[Sample]:
    """Returns intact and broken chains of identity, checked with their index; a broken index counts as one more chain."""
    chains: dict[str, list[CustodyRecord]] = {}
    for record in reading.session.exec(
        select(CustodyRecord).order_by(col(CustodyRecord.encounter_id), col(CustodyRecord.position))
    ):
        chains.setdefault(record.encounter_id, []).append(record)
    entries = reading.session.exec(select(CustodyIndex).order_by(col(CustodyIndex.position))).all()
    broken = check_ledger(chains, entries)
    return [
        sample("cart_custody_chains", len(set(chains) - {found.encounter_id for found in broken}), "intact"),
        sample("cart_custody_chains", len(broken), "broken"),
        sample("cart_custody_records", sum(map(len, chains.values()))),
    ]
