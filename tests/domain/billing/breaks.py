"""Ways to chart, code or post a claim wrongly, and the finding that stops each. Used by tests and `docs/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from tests.domain.billing.stories import Story, mcl_inpatient
from tests.kit.patient import patient as named

LABEL = {"coi_id": "COI-1", "hcpcs": "Q2053", "ndc": "71287-219-01", "lot": "KTA0001"}


@dataclass(frozen=True)
class Charted:
    """Something charted, coded or posted wrongly: `key` names the claim that shows `edit`."""

    what: str
    edit: str
    key: str
    story: Callable[[], Story]


def outpatient(payer: str = "medicare", **referral: object) -> Story:
    story = Story().referral(coverage={"payer": payer, "member_id": "W1"}, planned_setting="outpatient", **referral)
    return story.authorization().collection().released().mcl_course()


def collected(**referral: object) -> Story:
    return Story().referral(**referral).collection()


def payer(name: str) -> dict[str, str]:
    return {"payer": name, "member_id": "W"}


def stay(*others: tuple[str, str | None], principal: str = "C83.18", **changes: object) -> Story:
    """The MCL stay without its abstract, then coded as given."""
    story = Story().referral().collection().released().mcl_course().admitted(-1).infused().discharged(14)
    return story.coded("ADM1", principal, *others, **changes)


def coded_procedure(code: str) -> Story:
    return stay(procedures=[{"code": code, "date": date(2026, 6, 15)}])


def unlabelled(**label: str) -> Story:
    return outpatient().infused("outpatient", label={**LABEL, **label})


def infused() -> Story:
    return outpatient().infused("outpatient")


def b_all(cyclophosphamide: tuple[int, ...] = ()) -> Story:
    story = Story().referral(indication="b_all", diagnosis="C91.02")
    return story.b_all_course(cyclophosphamide) if cyclophosphamide else story.mcl_course()


def expired() -> Story:
    story = Story().referral(coverage=payer("uhc")).authorization(last=-1)
    return story.collection().released().infused("outpatient")


def office() -> Story:
    return Story().referral().collection(facility="st_mary_office", setting="office")


def attended(npi: str) -> Story:
    story = Story().referral().collection().released().admitted(-1, attending_npi=npi)
    return story.infused().discharged(14).coded()


def returned_early() -> Story:
    story = mcl_inpatient().admitted(5, "ADM2").toxicity(5, crs=2)
    return story.discharged(20, "ADM2").coded("ADM2", "A41.9", ("D89.832", "Y"))


def long_ago() -> Story:
    story = Story()
    story.day0 = date(2021, 11, 5)
    return story.referral().released().admitted(-1).infused().discharged(10).coded()


def both_at_nine() -> Story:
    story = Story().referral().dosed("fludarabine", -5, "55.5", minutes=60)
    return story.dosed("cyclophosphamide", -5, "925", minutes=60)


def unlisted_payer() -> Story:
    """The payer of the referral is in the rulebook and not in the site file."""
    story = collected(coverage=payer("cigna"))
    kept = tuple(one for one in story.site.payers if one.key != "cigna")
    story.site = story.site.model_copy(update={"payers": kept})
    return story


def charted_outpatient() -> Story:
    return Story().referral().collection().released().admitted(-1).infused("outpatient").discharged(14).coded()


def too_early() -> Story:
    """A tocilizumab given two weeks before the first day of the code that its NDC names."""
    story = Story(date(2025, 3, 15)).referral(coverage=payer("aetna")).authorization().released().infused("outpatient")
    return story.tocilizumab(3, setting="outpatient", ndc="72606-042-01")


def two_bags() -> Story:
    return infused().released("BAG2").infused("outpatient", 1, "BAG2")


SECONDARY = tuple((f"E{chapter}.{digit}", "Y") for chapter in (83, 87) for digit in range(10)) + tuple(
    (f"J{chapter}.9", "Y") for chapter in (15, 18, 20, 22, 40, 44)
)


def under_expanded_access() -> Story:
    story = outpatient()
    signed = {
        "bag_id": "BAG-1",
        "disposition": "expanded_access",
        "reason": "viability",
        "role": "director",
        "signer": "s",
    }
    return story.fact("cart.disposition.signed", story.at(-8), **signed).infused("outpatient")


ERRORS = (
    Charted("expanded access at the list price", "expanded_access_charge", "C/1", under_expanded_access),
    Charted(
        "collection without an authorization", "authorization_missing", "A/1", lambda: collected(coverage=payer("uhc"))
    ),
    Charted("infusion after the authorization ended", "authorization_missing", "C/1", expired),
    Charted("the MCL doses for a patient with B-ALL", "regimen_wrong_indication", "B/1", b_all),
    Charted(
        "the B-ALL dose of cyclophosphamide for a patient with MCL",
        "regimen_wrong_indication",
        "B/1",
        lambda: Story().referral().dosed("cyclophosphamide", -5, "1665"),
    ),
    Charted("three doses of cyclophosphamide in B-ALL", "regimen_extra_dose", "B/1", lambda: b_all((-4, -3, -2))),
    Charted(
        "a fourth day of fludarabine",
        "regimen_extra_dose",
        "B/1",
        lambda: Story().referral().mcl_course().dosed("fludarabine", -2, "55.5"),
    ),
    Charted(
        "CRS coded as grade 1, documented as grade 3",
        "toxicity_not_coded",
        "C/1",
        lambda: stay(("D89.831", "N"), ("T80.82XA", "N")).toxicity(4, crs=3),
    ),
    Charted(
        "ICANS coded as grade 1, documented as grade 4",
        "toxicity_not_coded",
        "C/1",
        lambda: stay(("G92.01", "N")).toxicity(4, icans=4),
    ),
    Charted(
        "HCPCS code of the other product on the label", "wrong_product_code", "C/1", lambda: unlabelled(hcpcs="Q2041")
    ),
    Charted(
        "NDC of the other product on the label", "wrong_product_ndc", "C/1", lambda: unlabelled(ndc="71287-119-01")
    ),
    Charted(
        "charge posted with the HCPCS code of the other product",
        "wrong_product_code",
        "C/1",
        lambda: infused().charge("1", 0, "0891", "9", "Q2041"),
    ),
    Charted(
        "lot on the label differs from the release",
        "label_release_mismatch",
        "C/1",
        lambda: unlabelled(lot="OTHER"),
    ),
    Charted(
        "package on the label differs from the release",
        "label_release_mismatch",
        "C/1",
        lambda: unlabelled(ndc="71287-219-02"),
    ),
    Charted(
        "infused bag without a release",
        "release_missing",
        "C/1",
        lambda: outpatient().infused("outpatient", bag="BAG9"),
    ),
    Charted(
        "central access coded, peripheral documented", "procedure_mismatch", "C/1", lambda: coded_procedure("XW043M7")
    ),
    Charted("the guide's expired procedure coded", "procedure_mismatch", "C/1", lambda: coded_procedure("XW033C3")),
    Charted("procedure code of the other product", "procedure_mismatch", "C/1", lambda: coded_procedure("XW033H7")),
    Charted(
        "B-ALL infused as outpatient, commercial payer",
        "outpatient_not_permitted",
        "C/1",
        lambda: outpatient("aetna", indication="b_all", diagnosis="C91.02").infused("outpatient"),
    ),
    Charted(
        "donor collection posted",
        "allogeneic_collection",
        "A/1",
        lambda: collected().charge("1", -28, "0871", "9", "38205"),
    ),
    Charted(
        "magnetocardiography posted with the collection",
        "foreign_code",
        "A/1",
        lambda: collected().charge("1", -28, "0871", "9", "0541T"),
    ),
    Charted(
        "magnetocardiography posted with the outpatient infusion",
        "foreign_code",
        "C/1",
        lambda: infused().charge("1", 0, "0874", "9", "0541T"),
    ),
    Charted(
        "magnetocardiography posted in the stay",
        "foreign_code",
        "C/1",
        lambda: stay().charge("1", 0, "0874", "9", "0541T", admission_id="ADM1"),
    ),
    Charted(
        "the old administration code posted with the collection",
        "administration_on_collection",
        "A/1",
        lambda: collected().charge("1", -28, "0874", "9", "0540T"),
    ),
    Charted(
        "the new administration code posted with the collection",
        "administration_on_collection",
        "A/1",
        lambda: collected().charge("1", -28, "0874", "9", "38228"),
    ),
    Charted(
        "a drug infusion posted for the cells",
        "infusion_code_on_cells",
        "C/1",
        lambda: infused().charge("1", 0, "0260", "9", "96365"),
    ),
    Charted(
        "a chemotherapy infusion posted for the cells",
        "infusion_code_on_cells",
        "C/1",
        lambda: infused().charge("1", 0, "0335", "9", "96413"),
    ),
    Charted(
        "a chemotherapy infusion posted for the cells in the stay",
        "infusion_code_on_cells",
        "C/1",
        lambda: stay().charge("1", 0, "0335", "9", "96413", admission_id="ADM1"),
    ),
    Charted(
        "cell processing posted during manufacturing",
        "stage_two_charge",
        "A/1",
        lambda: collected().charge("1", -20, "0872", "9"),
    ),
    Charted(
        "product posted during manufacturing",
        "stage_two_charge",
        "A/1",
        lambda: collected().charge("1", -20, "0891", "9", "Q2053"),
    ),
    Charted(
        "cell count posted as units",
        "product_units",
        "C/1",
        lambda: infused().charge("1", 0, "0891", "9", "Q2053", 140),
    ),
    Charted(
        "two product units posted in the stay",
        "product_units",
        "C/1",
        lambda: stay().charge("1", 0, "0891", "9", "Q2053", 2, admission_id="ADM1"),
    ),
    Charted("CRS as principal diagnosis", "unacceptable_principal", "C/1", lambda: stay(principal="D89.833")),
    Charted("a CRS code that does not exist", "code_not_valid", "C/1", lambda: stay(("D89.830", "N"))),
    Charted("a procedure code that does not exist", "code_not_valid", "C/1", lambda: coded_procedure("XW03399")),
    Charted("a diagnosis code without its last digit", "code_not_valid", "A/1", lambda: collected(diagnosis="C83.1")),
    Charted(
        "a patient under eighteen", "age_product", "A/1", lambda: collected(patient=named(birth_date="2010-01-01"))
    ),
    Charted("large B-cell lymphoma referred as MCL", "diagnosis_product", "A/1", lambda: collected(diagnosis="C83.30")),
    Charted("leukemia coded on the MCL stay", "diagnosis_product", "C/1", lambda: stay(principal="C91.02")),
    Charted(
        "a drug without a billing row", "no_rule", "B/1", lambda: Story().referral().dosed("bendamustine", -5, "100")
    ),
    Charted("an infusion in an office", "office_product", "C/1", lambda: outpatient().infused("office")),
    Charted("a drug whose HCPCS code for its NDC was not yet in effect", "no_rule", "D/1", too_early),
    Charted("two bags infused on two days", "product_twice", "C/2", two_bags),
    Charted(
        "a facility that is not in the site file",
        "unknown_facility",
        "A/1",
        lambda: Story().referral().collection(facility="x"),
    ),
    Charted("a payer that is not in the site file", "unknown_payer", "A/1", unlisted_payer),
    Charted(
        "more than 99,999.99 on a professional claim",
        "amount_cap",
        "A/1",
        lambda: office().charge("1", -28, "0871", "100000.00", "38206"),
    ),
    Charted("an attending NPI with a wrong check digit", "npi_check_digit", "C/1", lambda: attended("1234567890")),
    Charted("two stays on the same days", "overlapping_claims", "C/1", returned_early),
    Charted("a discharge date without a grouper version", "drg_not_grouped", "C/1", long_ago),
    Charted(
        "no transfer recorded, for a payer that approves on documents",
        "timeline_undocumented",
        "C/1",
        lambda: outpatient("uhc").infused("outpatient"),
    ),
)

WARNINGS = (
    Charted("a code row that is not confirmed", "unconfirmed_code", "B/1", lambda: Story().referral().mcl_course()),
    Charted("a reduced dose", "regimen_dose", "B/1", lambda: Story().referral().dosed("fludarabine", -5, "40")),
    Charted("two infusions at the same time", "overlapping_infusions", "B/1", both_at_nine),
    Charted("CRS missing from the coding abstract", "toxicity_added", "C/1", lambda: stay().toxicity(4, crs=3)),
    Charted(
        "CRS coded before its complication",
        "toxicity_sequence",
        "C/1",
        lambda: stay(("D89.833", "N"), ("T80.82XA", "N")).toxicity(4, crs=3),
    ),
    Charted("cell procedure missing from the coding abstract", "procedure_added", "C/1", stay),
    Charted("no transfer recorded", "timeline_incomplete", "C/1", infused),
    Charted("the guide's NDC on the label", "ndc_not_in_formulary", "C/1", lambda: unlabelled(ndc="71287-129-01")),
    Charted(
        "a stay without an admitting diagnosis", "admitting_assumed", "C/1", lambda: stay(admitting_diagnosis=None)
    ),
    Charted("more diagnoses than the form holds", "diagnoses_cut", "C/1", lambda: stay(*SECONDARY)),
    Charted("a diagnosis without its POA indicator", "poa_missing", "C/1", lambda: stay(("N17.9", None))),
    Charted("disease in remission", "remission_diagnosis", "A/1", lambda: collected(diagnosis="C83.1A")),
    Charted(
        "a laboratory charge without a service",
        "unmatched_charge",
        "A/1",
        lambda: collected().charge("1", -28, "0300", "9", "85025"),
    ),
    Charted(
        "a visit without a documented evaluation",
        "evaluation_not_documented",
        "A/1",
        lambda: collected().charge("1", -28, "0510", "9", "99214"),
    ),
    Charted(
        "3 room days posted for a stay of 15 days",
        "room_days",
        "C/1",
        lambda: stay().charge("1", 3, "0206", "9000.00", None, 3, admission_id="ADM1"),
    ),
    Charted("an infusion in the stay charted as outpatient", "setting_mismatch", "C/1", charted_outpatient),
    Charted(
        "an attending provider that is not in the site file", "attending_unknown", "C/1", lambda: attended("1455555544")
    ),
    Charted("no REMS letter on file", "paper_rems_letter", "C/1", lambda: outpatient("aetna").infused("outpatient")),
    Charted(
        "no BTK inhibitor history on file",
        "paper_btk_inhibitor",
        "C/1",
        lambda: outpatient("aetna").infused("outpatient"),
    ),
    Charted("no imaging on file", "paper", "C/1", lambda: outpatient("aetna").infused("outpatient")),
)
