"""The fields of the two forms, as the guide maps them (G306-344) and the corrections move them (C8, C9)."""

from __future__ import annotations

import pytest

from domain.billing.model import Claim
from tests.domain.billing.breaks import office, outpatient
from tests.domain.billing.stories import mcl_inpatient


def fields(claim: Claim) -> dict[str, str | None]:
    return {f"{f.field} {f.name}": f.value or f.vault for f in claim.fields}


def test_the_stay_fills_its_form() -> None:
    claim = mcl_inpatient().claim("C/1")
    found = fields(claim)
    expected = {
        "FL 4 type of bill": "111",
        "FL 6 statement covers period": "2026-06-11 to 2026-06-29",
        "FL 8 patient name": "patient.name",
        "FL 9 patient address": "patient.address",
        "FL 12 admission date": "2026-06-14",
        "FL 13 admission hour": "07",
        "FL 14 type of admission": "3",
        "FL 15 point of origin": "1",
        "FL 16 discharge hour": "11",
        "FL 17 patient discharge status": "01",
        "FL 56 billing NPI": "1234560013",
        "FL 60 insured's identifier": "member_id",
        "FL 66 version of the diagnosis codes": "0",
        "FL 71 diagnosis related group": "018",
        "FL 76 attending provider": "1234560112",
        "FL 80 remarks": "Tecartus (brexucabtagene autoleucel), lot KTA0001",
        "FL 47 total of the claim": f"{claim.total:.2f}",
    }
    assert expected.items() <= found.items()
    assert "FL 63 authorization number" not in found
    assert [(d.role, d.field) for d in claim.diagnoses] == [("admitting", "FL 69"), ("principal", "FL 67")]
    assert {code.field for code in claim.codes} == {"FL 39-41"}
    assert claim.procedures[0].field == "FL 74"


def test_the_lines_of_a_ub_04_name_their_columns() -> None:
    line = mcl_inpatient().claim("B/1").lines[-1]
    assert line.fields == {
        "revenue_code": "FL 42",
        "description": "FL 43",
        "ndc": "FL 43",
        "hcpcs": "FL 44",
        "service_date": "FL 45",
        "units": "FL 46",
        "charge": "FL 47",
    }


def test_a_commercial_claim_has_the_authorization_number_that_covers_its_day() -> None:
    claim = outpatient("aetna").authorization("PA999", -30, -20).infused("outpatient")
    assert fields(claim.claim("A/1"))["FL 63 authorization number"] == "PA999"
    assert fields(claim.claim("C/1"))["FL 63 authorization number"] == "PA123"


@pytest.mark.parametrize(("edition", "units"), [("current", "24G"), ("guide", "24D")])
def test_the_office_fills_a_cms_1500(edition: str, units: str) -> None:
    claim = office().claim("A/1", edition)  # type: ignore[arg-type]
    found = fields(claim)
    assert {
        "1a insured's identifier",
        "2 patient name",
        "24B place of service",
        "25 federal tax number",
        "33a billing NPI",
    } <= set(found)
    assert found["28 total of the claim"] == "4850.00"
    assert claim.lines[0].fields["units"] == units
    assert claim.lines[0].diagnosis_pointers == (1,)
    assert claim.lines[0].revenue_code is None


def test_the_guide_prints_the_whole_set_on_an_outpatient_claim_c() -> None:
    story = outpatient().infused("outpatient")
    assert {line.hcpcs for line in story.claim("C/1", "guide").lines} == {"0537T", "0538T", "0539T", "0540T", "Q2053"}
    assert {line.hcpcs for line in story.claim("C/1").lines} == {"38227", "38228", "Q2053"}


def test_every_value_on_a_claim_cites_its_row() -> None:
    for claim in mcl_inpatient().toxicity(3, crs=2).claims():
        parts = (*claim.fields, *claim.lines, *claim.diagnoses, *claim.procedures, *claim.codes)
        assert all(part.reason.rule and part.reason.citation for part in parts)
