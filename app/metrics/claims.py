"""Counts claims: billed, held by owner, and not billed yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select as wide_select
from sqlalchemy import tuple_
from sqlmodel import col, func, select

from app.metrics.families import Sample, age_band, sample
from app.metrics.reading import Reading
from domain.rulebook import Rulebook
from domain.rulebook.rows import Code
from store.recovered import unmatched
from store.sending import unsettled
from store.tables import ClaimVersion

Key = tuple[str, str, int, int]
NOT_BILLED = frozenset({"held", "rejected"})
"""States of claims that no payer adjudicates: held by an edit, or rejected before adjudication."""

SYNDROMES = ("crs", "icans")
VERSION = tuple(
    col(column)
    for column in (ClaimVersion.encounter_id, ClaimVersion.letter, ClaimVersion.ordinal, ClaimVersion.version)
)


def count_claims(reading: Reading, rules: Rulebook | None) -> Iterator[Sample]:
    """Yields claims by letter and state, and unbilled claims."""
    for letter, state, count, total in reading.session.exec(
        select(ClaimVersion.letter, ClaimVersion.state, func.count(), func.sum(ClaimVersion.total)).group_by(
            ClaimVersion.letter, ClaimVersion.state
        )
    ):
        yield sample("cart_claims", count, letter, state)
        yield sample("cart_claim_dollars", total, letter, state)
    for letter, held, count in reading.session.exec(
        select(ClaimVersion.letter, col(ClaimVersion.emitted_at).is_(None), func.count())
        .where(ClaimVersion.version == 1)
        .group_by(ClaimVersion.letter, col(ClaimVersion.emitted_at).is_(None))
    ):
        yield sample("cart_claims_first_version_total", count, letter, "held" if held else "clean")
    yield sample("cart_sending_held", len(unsettled(reading.session)))
    yield sample("cart_recovered_claims_open", len(unmatched(reading.session)))
    current = _current(reading)
    documents = reading.documents.refresh(
        {key: built for key, (_, built, _) in current.items()}, lambda keys: _read_documents(reading, keys)
    )
    yield from _held(reading, current, documents)
    yield from _waiting(reading)
    yield from _coded(current, documents, rules)


def _current(reading: Reading) -> dict[Key, tuple[str, datetime, Decimal]]:
    """Returns the newest version of every claim: state, time built, total."""
    newest: dict[tuple[str, str, int], Key] = {}
    rows: dict[Key, tuple[str, datetime, Decimal]] = {}
    columns = (*VERSION, col(ClaimVersion.state), col(ClaimVersion.built_at), col(ClaimVersion.total))
    every = reading.session.execute(wide_select(*columns).order_by(col(ClaimVersion.version)))
    for encounter, letter, ordinal, version, state, built, total in every:
        key = (encounter, letter, ordinal, version)
        rows.pop(newest.get(key[:3], key), None)
        newest[key[:3]] = key
        rows[key] = (state, built, total)
    return rows


def _read_documents(reading: Reading, keys: Sequence[Key]) -> Iterable[tuple[Key, dict[str, Any]]]:
    query = wide_select(*VERSION, col(ClaimVersion.document)).where(tuple_(*VERSION).in_(keys))
    for encounter, letter, ordinal, number, document in reading.session.execute(query):
        errors = [edit for edit in document.get("edits", ()) if edit["severity"] == "error"]
        yield (
            (encounter, letter, ordinal, number),
            {
                "owner": errors[0]["owner"] if errors else None,
                "edits": [edit["id"].removeprefix("edits.") for edit in errors],
                "denials": sorted({edit["denial"] for edit in errors if edit.get("denial")}),
                "through": document["statement_through"],
                "codes": frozenset(diagnosis["code"] for diagnosis in document.get("diagnoses", ())),
            },
        )


def _held(
    reading: Reading, current: Mapping[Key, tuple[str, datetime, Decimal]], documents: Mapping[Key, Mapping[str, Any]]
) -> Iterator[Sample]:
    for key, (state, built, total) in current.items():
        if state not in NOT_BILLED:
            continue
        letter, document = key[1], documents[key]
        yield from _unbilled(reading, letter, state, document["through"], total)
        if state != "held":
            continue
        yield sample("cart_claims_held", 1, letter, document.get("owner"))
        yield sample("cart_claims_held_oldest_seconds", reading.seconds_since(built), letter)
        yield from (sample("cart_claims_held_edits", 1, edit) for edit in document.get("edits", ()))
        yield from (sample("cart_claims_held_denials", 1, denial) for denial in document.get("denials", ()))


def _waiting(reading: Reading) -> Iterator[Sample]:
    for _, view in reading.views.digests.values():
        for letter, total, through in view.get("waiting", ()):
            yield from _unbilled(reading, letter, "waiting", through, Decimal(total))


def _unbilled(reading: Reading, letter: str, state: str, through: str, total: Decimal) -> Iterator[Sample]:
    age = age_band(reading.now.date() - date.fromisoformat(through))
    yield sample("cart_unbilled_claims", 1, letter, state, age)
    yield sample("cart_unbilled_dollars", total, letter, state, age)


def _coded(
    current: Mapping[Key, tuple[str, datetime, Decimal]],
    documents: Mapping[Key, Mapping[str, Any]],
    rules: Rulebook | None,
) -> Iterator[Sample]:
    """Yields the highest coded grade of each infusion claim, by the rulebook's codes."""
    if rules is None:
        return
    grades = {
        syndrome: {row.code: row.grade for row in rules.table(Code) if row.role == syndrome} for syndrome in SYNDROMES
    }
    for key, (state, _, _) in current.items():
        if key[1] != "C" or state == "withdrawn" or key not in documents:
            continue
        for syndrome, by_code in grades.items():
            coded = [by_code[code] for code in documents[key]["codes"] if code in by_code]
            yield sample("cart_coded_stays", 1, syndrome, max(coded, default="none"))
