"""The 837P of a claim on a CMS-1500 (corrections H)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.billing.model import MOST_DIAGNOSES, Claim, Form, Line
from domain.billing.x12 import envelope
from domain.billing.x12.envelope import Segments, code, day, free, number
from domain.billing.x12.parties import Control, Identity
from domain.site import Facility, PayerId, Site

_NOTE = 80


def body(claim: Claim, identity: Identity, site: Site, payer: PayerId, control: Control) -> Segments:
    """Every segment between the headers and the trailers."""
    facility = envelope.facility_of(claim, site)
    return [
        *envelope.billing(facility),
        *envelope.subscriber(identity, payer, control),
        *_claim(claim, identity, control),
        *_rendering(claim, facility),
        *(segment for line in claim.lines for segment in _line(line)),
    ]


def _claim(claim: Claim, identity: Identity, control: Control) -> Iterator[tuple[str, ...]]:
    where = ":".join((claim.place_of_service or "", "B", control.frequency))
    yield ("CLM", control.claim, number(claim.total), "", "", where, "Y", "A", "Y", "Y")
    yield from envelope.references(claim, identity, control)
    if claim.remarks:
        yield ("NTE", "ADD", free(claim.remarks, "the remarks", _NOTE))
    coded = [d for d in claim.diagnoses if d.role != "admitting"][: MOST_DIAGNOSES[Form.CMS1500]]
    yield ("HI", *(f"{'ABF' if index else 'ABK'}:{code(d.code)}" for index, d in enumerate(coded)))


def _rendering(claim: Claim, facility: Facility) -> Iterator[tuple[str, ...]]:
    family, given, npi = envelope.attending(facility, claim)
    yield ("NM1", "82", "1", family, given, "", "", "", "XX", npi)
    yield ("PRV", "PE", "PXC", facility.attending_taxonomy)


def _line(line: Line) -> Iterator[tuple[str, ...]]:
    pointers = ":".join(str(pointer) for pointer in line.diagnosis_pointers)
    service = envelope.procedure(line.hcpcs or "", line.modifiers)
    yield ("LX", str(line.number))
    yield ("SV1", service, number(line.charge), "UN", str(line.units), "", "", pointers)
    yield ("DTP", "472", "D8", day(line.date_of_service))
    yield from envelope.drug(line.ndc, line.ndc_quantity, line.ndc_unit)
