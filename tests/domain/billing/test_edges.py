"""Charts at the edge: midnights, clock changes, short stays, deaths, many diagnoses, attested services, odd containers."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing import build_claims
from domain.billing.model import Claim
from domain.billing.x12 import render, validate
from tests.domain.billing import golden
from tests.domain.billing.breaks import SECONDARY, outpatient, stay
from tests.domain.billing.golden import control, segments
from tests.domain.billing.stories import Story, edit_ids, error_ids, lines, mcl_inpatient, units
from tests.kit.rules import rulebook, rules_with
from tests.kit.site import site

SPRING, AUTUMN = date(2026, 3, 13), date(2026, 11, 6)
"""Infusion days whose fifth day before is the one on which New York changes its clocks."""


def file_of(claim: Claim) -> str:
    payer = site().payer(claim.payer)
    assert payer is not None
    file = render(claim, golden.PAT, site(), payer, control())
    assert validate(file) == []
    return file


def commercial(day0: date = Story.day0) -> Story:
    return Story(day0).referral(coverage={"payer": "aetna", "member_id": "W1"}).authorization()


def chemotherapy(claim: Claim) -> list[tuple[str, int]]:
    return [(line.service, line.units) for line in claim.lines if line.service.startswith("chemo")]


# times


@pytest.mark.parametrize(
    ("day0", "minutes", "hours"), [(SPRING, 160, 1), (AUTUMN, 160, 3), (date(2026, 6, 15), 160, 2)]
)
def test_hours_are_elapsed_hours_when_the_clocks_change(day0: date, minutes: int, hours: int) -> None:
    """The wall shows 01:00 to 03:40 each time: an hour less in March, an hour more in November."""
    claim = commercial(day0).dosed("cyclophosphamide", -5, 925, hour=1, minutes=minutes).claim("B/1")
    extra = [("chemo_infusion_hour", hours)] if hours else []
    assert chemotherapy(claim) == [("chemo_infusion_initial", 1), *extra]


def test_an_infusion_past_midnight_is_of_the_day_it_began() -> None:
    claim = commercial().dosed("fludarabine", -5, "55.5", hour=23, minutes=95).claim("B/1")
    assert {line.date_of_service for line in claim.lines} == {Story().date_of(-5)}
    assert chemotherapy(claim) == [("chemo_infusion_initial", 1), ("chemo_infusion_hour", 1)]


def test_the_leap_day_is_a_day_like_any_other() -> None:
    claim = commercial(date(2028, 3, 3)).mcl_course(-4).claim("B/1")
    assert [line.date_of_service.isoformat() for line in lines(claim, "J9185")] == [
        "2028-02-28",
        "2028-02-29",
        "2028-03-01",
    ]
    file_of(claim)


# stays


def test_a_stay_without_a_midnight_is_one_day() -> None:
    story = Story().referral().collection().released().admitted(0).infused(at=Story().at(0, 9)).discharged(0).coded()
    story.facts = [fact for fact in story.facts if fact.type != "cart.infusion.started"]
    claim = story.claim("C/1")
    assert (claim.setting, units(claim, "Q2053")) == ("inpatient", 1)
    assert [line.units for line in claim.lines if line.service == "room_and_board"] == [1]
    assert ("80", Decimal(1)) in [(value.code, value.amount) for value in claim.codes]
    file_of(claim)


def test_a_service_after_discharge_on_the_same_day_is_not_billed_with_that_stay() -> None:
    story = outpatient().infused("outpatient").admitted(10, "ADM2", hour=6).toxicity(10, crs=2, hour=7)
    story.discharged(10, "ADM2").coded("ADM2", "A41.9").tocilizumab(10, hour=16, setting="outpatient")
    returned, visit = story.claim("D/1"), story.claim("D/2")
    assert (returned.type_of_bill, lines(returned, "J3262")) == ("111", [])
    assert (visit.type_of_bill, units(visit, "J3262")) == ("131", 560)


@pytest.mark.parametrize(("status", "died"), [("20", True), ("41", True), ("01", False), ("07", False)])
def test_the_date_of_death_is_sent_with_the_discharge_status_expired(status: str, died: bool) -> None:
    story = Story().referral().collection().released().admitted(-1).infused()
    story.fact("cart.admission.ended", story.at(6, 3), admission_id="ADM1", at=story.at(6, 3), discharge_status=status)
    claim = story.coded().claim("C/1")
    assert [(v.code, v.date) for v in claim.codes if v.kind == "occurrence"] == (
        [("55", story.date_of(6))] if died else []
    )
    assert ("HI*BH:55:D8:20260621" in file_of(claim)) is died


def test_without_an_admitting_diagnosis_the_principal_one_is_used_with_a_warning() -> None:
    claim = stay(admitting_diagnosis=None).claim("C/1")
    assert "HI*ABJ:C8318~" in file_of(claim)
    assert "admitting_assumed" in edit_ids(claim) - error_ids(claim)


def test_a_stay_with_too_many_diagnoses_sends_the_toxicity_and_reports_what_it_omits() -> None:
    claim = stay(*SECONDARY).toxicity(3, crs=3, icans=2).claim("C/1")
    sent = [part.split(":")[1] for segment in segments(file_of(claim), "HI") for part in segment[1:] if "ABF" in part]
    assert sent[:3] == ["T8082XA", "D89833", "G9202"]
    assert len(sent) == 24
    assert "diagnoses_cut" in edit_ids(claim)


def test_a_diagnosis_without_poa_indicator_is_found_and_an_exempt_one_is_not() -> None:
    bare = stay(("N17.9", None), ("Z94.84", None)).claim("C/1")
    assert [edit.message for edit in bare.edits if edit.id == "poa_missing"] == [
        "Inpatient diagnosis missing POA indicator: N17.9"
    ]
    assert "ABF:N179*" in file_of(bare)


def test_the_operating_provider_is_sent_where_the_site_file_has_one() -> None:
    house = site().facilities[0].model_copy(update={"operating_npi": "1677777769", "operating_name": ("Oper", "Olive")})
    named = site().model_copy(update={"facilities": (house, *site().facilities[1:])})
    claims = {claim.key: claim for claim in build_claims(mcl_inpatient().record(), named, rulebook())}
    files = {key: render(claim, golden.PAT, named, named.payers[0], control()) for key, claim in claims.items()}
    assert "NM1*72*1*OPER*OLIVE****XX*1677777769~" in files["C/1"]
    assert "NM1*72" not in files["A/1"]
    assert {key: validate(file) for key, file in files.items()} == {key: [] for key in files}


# attested services


def test_an_attested_outpatient_infusion_and_its_treatment_have_the_condition_code() -> None:
    story = outpatient().infused("outpatient").tocilizumab(1, setting="outpatient").admitted(3, "ADM2")
    story.toxicity(3, crs=2).discharged(6, "ADM2").coded("ADM2", "A41.9").evidence("unrelated_services", day=3)
    codes = {claim.key: [v.code for v in claim.codes if v.kind == "condition"] for claim in story.claims()}
    assert codes == {"A/1": [], "B/1": [], "C/1": ["51"], "D/1": ["51"], "D/2": []}
    assert "HI*BG:51~" in file_of(story.claim("C/1"))


def test_an_attestation_for_an_office_has_no_code_and_holds_nothing() -> None:
    story = Story().referral().collection().released().mcl_course(facility="st_mary_office", setting="office")
    story.admitted(-1).infused().discharged(14).coded().evidence("unrelated_services", day=-1)
    claim = story.claim("B/1")
    assert (claim.codes, claim.errors) == ((), ())
    file_of(claim)


# drugs


@pytest.mark.parametrize(
    ("ndc", "on", "code", "billed"),
    [
        ("55150-273-01", date(2026, 6, 15), "J9071", 185),
        ("50742-519-10", date(2026, 6, 15), "J9073", 185),
        ("0781-3529-10", date(2026, 6, 15), "J9074", 185),
        ("42806-903-26", date(2026, 6, 15), "J9075", 185),
        ("0338-9779-01", date(2026, 6, 15), "J9076", 185),
        ("10019-955-01", date(2026, 6, 15), "J9070", 10),
        ("42806-903-26", date(2024, 4, 5), "J9070", 10),
        ("42806-903-26", date(2024, 4, 6), "J9075", 185),
    ],
)
def test_cyclophosphamide_follows_the_charted_ndc_and_shows_its_doubt(
    ndc: str, on: date, code: str, billed: int
) -> None:
    claim = commercial(on).dosed("cyclophosphamide", -5, 925, ndc=ndc).claim("B/1")
    assert units(claim, code) == billed
    assert {"unconfirmed_code"} == {
        e.id for e in claim.edits if e.id in ("unconfirmed_code", "no_rule", "units_mismatch")
    }


@pytest.mark.parametrize(
    ("ndc", "day0", "codes"),
    [
        ("64406-022-01", date(2026, 6, 15), ["Q5133"]),
        ("78206-201-01", date(2026, 6, 15), ["Q5133"]),
        ("65219-590-04", date(2026, 6, 15), ["Q5135"]),
        ("72606-042-01", date(2026, 6, 15), ["Q5156"]),
        ("50242-135-01", date(2026, 6, 15), ["J3262"]),
        ("72606-042-01", date(2025, 3, 1), []),
    ],
)
def test_tocilizumab_follows_the_charted_ndc_and_never_uses_the_code_of_another_manufacturer(
    ndc: str, day0: date, codes: list[str]
) -> None:
    story = commercial(day0).collection().released().mcl_course().infused("outpatient").toxicity(3, crs=2)
    claim = story.tocilizumab(3, setting="outpatient", ndc=ndc).claim("D/1")
    assert [line.hcpcs for line in claim.lines if line.service == "tocilizumab"] == codes
    assert ("no_rule" in error_ids(claim)) is (codes == [])


def test_an_expired_code_holds_the_claim_and_the_general_code_is_not_used() -> None:
    extra = {"drug": "fludarabine"}
    rules = rules_with("unused", "x", payer="aetna")
    ended = rules.table(type(rules.by_id("drugs.fludarabine")))[0].model_copy(
        update={
            "id": "drugs.test",
            "status": "verified",
            "ndc_prefixes": ("63323-192",),
            "effective_to": date(2026, 3, 31),
            **extra,
        }
    )
    rules.rows["drugs"] = (*rules.rows["drugs"], ended)
    claim = next(c for c in commercial().dosed("fludarabine", -5, 50).claims(rules=rules) if c.key == "B/1")
    assert lines(claim, "J9185") == []
    assert any(e.id == "no_rule" and "2026-06-10" in e.message and "63323-192-02" in e.message for e in claim.errors)


def test_the_rest_of_a_multi_dose_container_is_neither_billed_nor_marked() -> None:
    claim = commercial().dosed("cyclophosphamide", -5, 925, 75, ndc="0781-3529-10").claim("B/1")
    assert [(line.units, line.modifiers) for line in lines(claim, "J9074")] == [(185, ())]
    assert "units_mismatch" not in edit_ids(claim)


@pytest.mark.parametrize(
    ("value", "ndc", "quantity", "unit"),
    [
        ("milligrams", "63323-192-02", "55.5", "ME"),
        ("package", "63323-192-02", "2.220", "ML"),
        ("package", "11111-111-11", "55.5", "ME"),
    ],
)
def test_the_payer_decides_the_unit_of_the_ndc_quantity(value: str, ndc: str, quantity: str, unit: str) -> None:
    story = commercial().dosed("fludarabine", -5, "55.5", "94.5", ndc=ndc)
    claim = next(c for c in story.claims(rules=rules_with("ndc_quantity", value)) if c.key == "B/1")
    given = lines(claim, "J9185")[0]
    assert (given.ndc_quantity, given.ndc_unit) == (Decimal(quantity), unit)
    assert f"CTP****{Decimal(quantity).normalize():f}*{unit}~" in file_of(claim)


@settings(max_examples=60, deadline=None)
@given(
    given_mg=st.decimals(min_value="0.001", max_value=3000, places=3),
    wasted_mg=st.decimals(min_value=0, max_value=600, places=3),
    drug=st.sampled_from(["fludarabine", "cyclophosphamide"]),
    minutes=st.integers(0, 400),
)
def test_given_and_wasted_lines_cover_what_was_drawn_by_less_than_one_unit_and_pass(
    given_mg: Decimal, wasted_mg: Decimal, drug: str, minutes: int
) -> None:
    basis = Decimal(50 if drug == "fludarabine" else 100)
    claim = commercial().dosed(drug, -5, str(given_mg), str(wasted_mg), minutes=minutes).claim("B/1")
    drawn = [line for line in claim.lines if line.service == drug]
    billed = sum(line.units for line in drawn) * basis
    assert given_mg + wasted_mg <= billed < given_mg + wasted_mg + basis
    assert [("JW" in line.modifiers, "JZ" in line.modifiers) for line in drawn] in (
        [(False, True)],
        [(False, False), (True, False)],
    )
    assert "units_mismatch" not in edit_ids(claim)
    file_of(claim)


# the product


def test_no_cell_given_is_no_claim_and_a_treatment_of_that_day_still_is() -> None:
    story = outpatient().infused("outpatient", cells_infused=0)
    assert "C/1" not in story.claim_keys()
    treated = story.toxicity(0, crs=1, hour=16).tocilizumab(0, 17, setting="outpatient")
    assert not any(line.hcpcs == "Q2053" for claim in treated.claims() for line in claim.lines)
    assert any(units(claim, "J3262") == 560 for claim in treated.claims())


def test_supporting_documents_are_named_for_a_payer_that_requests_them() -> None:
    story = outpatient("aetna").handed_over().infused("outpatient").evidence("prior_therapy_log")
    assert "PWK*OZ*AA~" in file_of(story.claim("C/1"))
    assert "PWK" not in file_of(outpatient().infused("outpatient").evidence("prior_therapy_log").claim("C/1"))


def test_posted_cents_and_many_days_add_up_in_the_file() -> None:
    story = mcl_inpatient()
    for day in range(0, 14):
        story.charge(f"lab{day}", day, "0300", "123.45", admission_id="ADM1")
        story.charge(f"room{day}", day, "0206", "9999.99", admission_id="ADM1")
    claim = story.claim("C/1")
    file = file_of(claim)
    assert sum(Decimal(line[3]) for line in segments(file, "SV2")) == claim.total
    assert segments(file, "LX")[-1] == ["LX", str(len(claim.lines))]
    assert claim.statement_through - claim.statement_from == timedelta(days=18)
