"""The eleven documents of an authorization request: which are on hand, and which are missing (G369-381)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from domain.encounter.context import EncounterContext
from domain.encounter.gates.certificates import certificate_in_effect, reports
from domain.encounter.model import Requirement
from domain.events.access import CertificateEvidence
from domain.events.governance import Layer
from domain.rulebook import ANY
from domain.rulebook.rows import Checklist

REFERRAL, ON_FILE = "referral", "certificate on file"

ALSO = {"imaging": ("imaging", "tumour_burden")}
"""Kinds that satisfy a document of another name (G378: imaging or disease burden)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the checklist and the source of each kind of evidence it needs; None if it is missing."""

    row: Checklist
    sources: Mapping[str, str | None]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(kind for kind, source in self.sources.items() if source is None)


def checklist(context: EncounterContext, on: date, asked: Sequence[Requirement]) -> tuple[Entry, ...]:
    """Return every document of the indication, in the checklist's order.

    Args:
        asked: the eligibility requirements of the day. For a kind that they require, their result decides: a document that
            is too old or does not support the request does not count.
    """
    rows = [row for row in context.rules.find(Checklist, on) if row.indication in (ANY, context.indication)]
    verdicts = {requirement.key: requirement.met for requirement in asked}
    return tuple(_entry(context, on, row, verdicts) for row in sorted(rows, key=lambda row: row.number))


def _entry(context: EncounterContext, on: date, row: Checklist, verdicts: Mapping[str, bool]) -> Entry:
    found = {
        kind: next(_sources(context, on, kind, verdicts.get(f"eligibility.{kind}")), None) for kind in row.evidence
    }
    return Entry(row, found)


def _sources(context: EncounterContext, on: date, kind: str, verdict: bool | None) -> Iterator[str]:
    """Yield the sources of a kind of evidence, the referral first."""
    required = _certificates(context, kind)
    if verdict is not None:
        if verdict:
            yield REFERRAL
        return
    if required is None:
        if context.record.documents(*ALSO.get(kind, (kind,))) or (kind == "prior_therapy_log" and _therapies(context)):
            yield REFERRAL
        return
    if all(_filed(context, on, kind, holder, product) for _, holder, product in required):
        yield REFERRAL
    if all(_on_file(context, on, layer, holder, product) for layer, holder, product in required):
        yield ON_FILE


def _therapies(context: EncounterContext) -> bool:
    return context.record.referral is not None and bool(context.record.referral.data.prior_therapies)


RequiredCertificate = tuple[Layer, str | None, str | None]


def _certificates(context: EncounterContext, kind: str) -> tuple[RequiredCertificate, ...] | None:
    """Return the layers, holders and product that a certificate must show; None for every other document (G371-372)."""
    prescriber = context.record.referral.data.prescriber_npi if context.record.referral else None
    match kind:
        case "fact_certificate":
            return ((Layer.FACT, context.infusion_facility, None),)
        case "rems_letter":
            return (
                (Layer.REMS_FACILITY, context.infusion_facility, context.product),
                (Layer.REMS_PRESCRIBER, prescriber, context.product),
            )
    return None


def _filed(context: EncounterContext, on: date, kind: str, holder: str | None, product: str | None) -> bool:
    """Whether a copy came with the referral: of this holder and product, valid on the day."""
    return any(
        isinstance(document, CertificateEvidence)
        and document.values.holder == holder
        and (product is None or document.values.product == product)
        and document.values.valid_from <= on
        and (document.values.valid_to is None or on <= document.values.valid_to)
        for document, _ in context.record.documents(kind)
    )


def _on_file(context: EncounterContext, on: date, layer: Layer, holder: str | None, product: str | None) -> bool:
    """Whether the certificate is in the site file or was reported, so that a copy can be attached."""
    return holder is not None and certificate_in_effect(reports(context, layer.value, holder), product, on) is not None
