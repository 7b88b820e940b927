"""The 837I of a claim on a UB-04 (corrections H)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.billing.model import MOST_DIAGNOSES, Claim, CodedValue, Diagnosis, Form, Line
from domain.billing.x12 import envelope
from domain.billing.x12.envelope import Segments, code, day, free, number, text, value_of
from domain.billing.x12.parties import Control, Identity
from domain.site import Facility, PayerId, Site

_IN_ONE_HI = 12
_NOTE = 80


def body(claim: Claim, identity: Identity, site: Site, payer: PayerId, control: Control) -> Segments:
    """Every segment between the headers and the trailers."""
    facility = envelope.facility_of(claim, site)
    return [
        *envelope.billing(facility),
        *envelope.subscriber(identity, payer, control),
        *_claim(claim, identity, control),
        *_health_information(claim),
        *_providers(claim, facility),
        *(segment for line in claim.lines for segment in _line(line)),
    ]


def _claim(claim: Claim, identity: Identity, control: Control) -> Iterator[tuple[str, ...]]:
    bill = claim.type_of_bill or ""
    where = ":".join((bill[:2], "A", control.frequency))
    yield ("CLM", control.claim, number(claim.total), "", "", where, "", "A", "Y", "Y")
    yield from _dates(claim)
    kind, source, status = (
        value_of(claim, key) or "" for key in ("admission_type", "admission_source", "discharge_status")
    )
    yield ("CL1", kind, source, status)
    if notice := value_of(claim, "attachment_notice"):
        yield ("PWK", *notice.split())
    yield from envelope.references(claim, identity, control)
    yield from _notes(free(claim.remarks, "the remarks", _NOTE * 10))


def _notes(remarks: str) -> Iterator[tuple[str, ...]]:
    """One billing note of eighty characters; what does not fit stands before it as notes on medication."""
    parts = [remarks[start : start + _NOTE] for start in range(0, len(remarks), _NOTE)]
    yield from (("NTE", "MED", text(part, _NOTE)) for part in parts[1:])
    yield from (("NTE", "ADD", text(part, _NOTE)) for part in parts[:1])


def _dates(claim: Claim) -> Iterator[tuple[str, ...]]:
    discharge, hour = value_of(claim, "discharge_hour"), value_of(claim, "admission_hour")
    if discharge:
        yield ("DTP", "096", "TM", f"{discharge}00")
    yield ("DTP", "434", "RD8", f"{day(claim.statement_from)}-{day(claim.statement_through)}")
    admitted = value_of(claim, "admission_date")
    if admitted and hour:
        yield ("DTP", "435", "DT", f"{admitted.replace('-', '')}{hour}00")


def _health_information(claim: Claim) -> Iterator[tuple[str, ...]]:
    """Diagnoses, group, procedures and coded values, in the order of the guide."""
    by_role = {role: [d for d in claim.diagnoses if d.role == role] for role in ("principal", "admitting", "other")}
    yield from _hi([_diagnosis("ABK", d) for d in by_role["principal"]])
    yield from _hi([_diagnosis("ABJ", d) for d in by_role["admitting"]])
    if claim.drg:
        yield ("HI", f"DR:{claim.drg}")
    yield from _hi([_diagnosis("ABF", d) for d in by_role["other"][: MOST_DIAGNOSES[Form.UB04] - 1]])
    for qualifier, role in (("BBR", "principal"), ("BBQ", "other")):
        yield from _hi([f"{qualifier}:{p.code}:D8:{day(p.date)}" for p in claim.procedures if p.role == role])
    for kind in ("occurrence_span", "occurrence"):
        yield from _hi([_occurrence(value) for value in claim.codes if value.kind == kind])
    yield from _hi(
        [f"BE:{v.code}:::{number(v.amount)}" for v in claim.codes if v.kind == "value" and v.amount is not None]
    )
    yield from _hi([f"BG:{value.code}" for value in claim.codes if value.kind == "condition"])


def _hi(composites: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(composites), _IN_ONE_HI):
        yield ("HI", *composites[start : start + _IN_ONE_HI])


def _diagnosis(qualifier: str, diagnosis: Diagnosis) -> str:
    plain = f"{qualifier}:{code(diagnosis.code)}"
    return f"{plain}:::::::{diagnosis.poa}" if diagnosis.poa else plain


def _occurrence(value: CodedValue) -> str:
    first = day(value.date) if value.date else ""
    if value.kind == "occurrence_span" and value.through:
        return f"BI:{value.code}:RD8:{first}-{day(value.through)}"
    return f"BH:{value.code}:D8:{first}"


def _providers(claim: Claim, facility: Facility) -> Iterator[tuple[str, ...]]:
    family, given, npi = envelope.attending(facility, claim)
    yield ("NM1", "71", "1", family, given, "", "", "", "XX", npi)
    yield ("PRV", "AT", "PXC", facility.attending_taxonomy)
    operating = value_of(claim, "operating")
    if operating and facility.operating_name:
        last, first = facility.operating_name
        yield ("NM1", "72", "1", text(last), text(first, 35), "", "", "", "XX", operating)


def _line(line: Line) -> Iterator[tuple[str, ...]]:
    service = envelope.procedure(line.hcpcs, line.modifiers) if line.hcpcs else ""
    yield ("LX", str(line.number))
    yield ("SV2", line.revenue_code or "", service, number(line.charge), line.unit_of_measure, str(line.units))
    yield ("DTP", "472", "D8", day(line.date_of_service))
    if line.hcpcs:
        yield from envelope.drug(line.ndc, line.ndc_quantity, line.ndc_unit)
