"""Ways to alter a final claim or its file, and the finding that stops each. Used by tests and `docs/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from domain.billing.model import Claim, Line


@dataclass(frozen=True)
class Altered:
    """A finished claim of the MCL stay, altered by hand."""

    what: str
    edit: str
    key: str
    change: Callable[[Claim], Claim]


@dataclass(frozen=True)
class Rewritten:
    """The file of Claim C, altered by hand: `old` becomes `new`, the finding holds `words`."""

    what: str
    old: str
    new: str
    words: str


def lines_with(claim: Claim, service: str, **changes: object) -> Claim:
    """The claim with the lines of a service changed; the total follows."""

    def changed(line: Line) -> Line:
        return line.model_copy(update=changes) if line.service == service else line

    lines = tuple(changed(line) for line in claim.lines)
    return claim.model_copy(update={"lines": lines, "total": sum((line.charge for line in lines), Decimal(0))})


def recoded(claim: Claim, code: str) -> Claim:
    first = claim.diagnoses[-1].model_copy(update={"code": code})
    return claim.model_copy(update={"diagnoses": (*claim.diagnoses[:-1], first)})


def reprocedured(claim: Claim, code: str) -> Claim:
    return claim.model_copy(update={"procedures": (claim.procedures[0].model_copy(update={"code": code}),)})


ALTERED = (
    Altered(
        "one unit of fludarabine too many", "units_mismatch", "C/1", lambda c: lines_with(c, "fludarabine", units=3)
    ),
    Altered(
        "the guide's units of fludarabine", "units_mismatch", "C/1", lambda c: lines_with(c, "fludarabine", units=56)
    ),
    Altered(
        "one unit of cyclophosphamide too few",
        "units_mismatch",
        "B/1",
        lambda c: lines_with(c, "cyclophosphamide", units=9),
    ),
    Altered("two units of the product", "product_units", "C/1", lambda c: lines_with(c, "cell_product", units=2)),
    Altered(
        "a total off by a cent",
        "total_mismatch",
        "C/1",
        lambda c: c.model_copy(update={"total": c.total + Decimal("0.01")}),
    ),
    Altered(
        "a line after the discharge",
        "line_outside_period",
        "C/1",
        lambda c: lines_with(c, "cell_product", date_of_service=c.statement_through + timedelta(days=1)),
    ),
    Altered("former transplant MS-DRG", "wrong_drg", "C/1", lambda c: c.model_copy(update={"drg": "016"})),
    Altered("no MS-DRG", "drg_not_grouped", "C/1", lambda c: c.model_copy(update={"drg": None})),
    Altered("the expired procedure", "code_not_valid", "C/1", lambda c: reprocedured(c, "XW033C3")),
    Altered("disease diagnosis removed", "diagnosis_product", "C/1", lambda c: recoded(c, "Z51.11")),
    Altered("ICANS as first diagnosis", "unacceptable_principal", "C/1", lambda c: recoded(c, "G92.02")),
    Altered("a diagnosis that does not exist", "code_not_valid", "C/1", lambda c: recoded(c, "C83.1B")),
    Altered(
        "the donor's collection", "allogeneic_collection", "A/1", lambda c: lines_with(c, "collection", hcpcs="38205")
    ),
    Altered(
        "administration on the collection",
        "administration_on_collection",
        "A/1",
        lambda c: lines_with(c, "collection", hcpcs="38228"),
    ),
    Altered(
        "a foreign code on the product line",
        "foreign_code",
        "C/1",
        lambda c: lines_with(c, "cell_product", hcpcs="0541T"),
    ),
    Altered(
        "HCPCS code of the other product on the product line",
        "wrong_product_code",
        "C/1",
        lambda c: lines_with(c, "cell_product", hcpcs="Q2041"),
    ),
)

REWRITTEN = (
    Rewritten("a claim total that is not the sum", "CLM*ENC1-C1*807686", "CLM*ENC1-C1*807687", "sum of the lines"),
    Rewritten("a third decimal", "*742000*UN", "*742000.001*UN", "two decimals"),
    Rewritten("a patient control number too long", "CLM*ENC1-C1", "CLM*ENC1-C1-ENC1-C1-ENC1-C1", "twenty characters"),
    Rewritten("line numbers out of sequence", "LX*2~", "LX*9~", "count from one"),
    Rewritten("a billing NPI with a wrong check digit", "XX*1234560013", "XX*1234560010", "check digit"),
    Rewritten("an impossible tax number", "REF*EI*101234501", "REF*EI*001234501", "employer"),
    Rewritten("a short taxonomy code", "PXC*282N00000X", "PXC*282N0", "taxonomy"),
    Rewritten("an invalid state code", "SPRINGFIELD*IL*62704~", "SPRINGFIELD*XX*62704~", "no state"),
    Rewritten("a postal code of four digits", "SPRINGFIELD*IL*62704~", "SPRINGFIELD*IL*6270~", "postal code"),
    Rewritten("a billing postal code of five digits", "NY*122070001~", "NY*12207~", "nine digits"),
    Rewritten("a revenue code of three digits", "SV2*0874", "SV2*874", "revenue code"),
    Rewritten("an NDC of ten digits", "N4*71287021901", "N4*7128721901", "eleven digits"),
    Rewritten("an invalid procedure date", "D8:20260615", "D8:20261315", "date that is none"),
    Rewritten("a line outside the statement period", "DTP*472*D8*20260614", "DTP*472*D8*20260714", "statement period"),
    Rewritten("a line without its service", "SV2*0874**2980*UN*1~\n", "", "without a service"),
    Rewritten(
        "no attending provider",
        "NM1*71*1*SYNTHETIC*ATTENDING ONE****XX*1234560112~\nPRV*AT*PXC*207RH0003X~\n",
        "",
        "provider",
    ),
    Rewritten("no admission type and status", "CL1*3*1*01~\n", "", "CL1"),
    Rewritten("an invalid POA indicator", "ABK:C8318:::::::Y", "ABK:C8318:::::::Q", "HI"),
    Rewritten("a birth date of seven digits", "D8*19610405*F", "D8*1961040*F", "DMG"),
    Rewritten("no statement period", "DTP*434*RD8*20260611-20260629~\n", "", "DTP"),
    Rewritten("an invalid billing provider type", "NM1*85*2", "NM1*85*9", "NM1"),
    Rewritten("a wrong count of segments", "SE*", "SE*1", "envelope"),
    Rewritten("an unknown implementation guide", "005010X223A2", "005010X999", "envelope"),
)
