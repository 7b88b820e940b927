"""What the tables require at a gate: of which holder, for which payer, on which day."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import get_args

import pytest

from domain.events import access
from domain.events.governance import Layer
from domain.rulebook import ANY, Row, Rulebook
from domain.rulebook.rows import (
    Assistance,
    Certification,
    Checklist,
    Denial,
    Eligibility,
    Indication,
    Payer,
    Payment,
    Product,
    Refresh,
    Regimen,
    SiteOfCare,
)

DAY = date(2026, 5, 4)
REMS_ENDED = date(2025, 6, 26)
COMMERCIAL = ["uhc", "aetna", "cigna", "medicare_advantage"]
READINESS = {"tocilizumab_on_hand", "tocilizumab_stock_b_all", "icu_backup"}
COMPUTED = {"relapsed_refractory", "adult_age", "prior_therapy"}
SOURCE = re.compile(
    r"^(G\d+(-\d+)?|\d+ CFR \d+(\.\d+)?(\(\w+\))*|corrections [A-H]\d*|design section \d+|[A-Z].*[A-Za-z0-9 )])$"
)


def every(*books: Rulebook) -> list[Row]:
    return [row for book in books for rows in book.rows.values() for row in rows]


def enforcement(book: Rulebook, layer: str, payer: str, on: date, indication: str = "mcl") -> set[str]:
    row = book.one(Payer, on, key=payer)
    asked = {"product": "tecartus", "indication": indication, "payer": payer, "payer_class": row.payer_class}
    holders = {rule.holder for rule in book.find(Certification, on, layer=layer, **asked)}
    return {book.one(Certification, on, layer=layer, holder=h, **asked).enforcement for h in holders}


def need(book: Rulebook, requirement: str, payer: str, indication: str, setting: str = "inpatient") -> str:
    row = book.one(Payer, DAY, key=payer)
    asked = {"product": "tecartus", "indication": indication, "payer": payer, "payer_class": row.payer_class}
    found = book.maybe(Eligibility, DAY, requirement=requirement, setting=setting, **asked)
    return found.enforcement if found else "not asked"


def test_ids_carry_their_table_and_sources_are_lines_corrections_or_named_pages(
    rules: Rulebook, guide_rules: Rulebook
) -> None:
    for row in every(rules, guide_rules):
        own = ("alerts.", "inbox.", "intake.") if row.table == "alerts" else (f"{row.table}.",)
        assert row.id.startswith(own), row.id
        assert all(SOURCE.match(source) for source in row.source), (row.id, row.source)


@pytest.mark.parametrize("layer", ["rems_facility", "rems_prescriber", "rems_pharmacy"])
def test_rems_layers_follow_the_payer_from_the_day_the_program_ended(
    layer: str, rules: Rulebook, guide_rules: Rulebook
) -> None:
    before = REMS_ENDED - timedelta(days=1)
    for payer in COMMERCIAL:
        assert enforcement(rules, layer, payer, before) == {"hold"}
        assert enforcement(rules, layer, payer, REMS_ENDED) == {"hold"}
    assert enforcement(rules, layer, "medicare", before) == {"hold"}
    assert enforcement(rules, layer, "medicare", REMS_ENDED) == {"warn"}
    assert enforcement(guide_rules, layer, "medicare", REMS_ENDED) == {"hold"}


@pytest.mark.parametrize("day", [REMS_ENDED - timedelta(days=1), REMS_ENDED, DAY])
def test_the_payers_row_and_the_layers_agree_on_rems(day: date, rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        for payer in {row.key for row in book.table(Payer)}:
            required = book.one(Payer, day, key=payer).requires_rems
            assert enforcement(book, "rems_facility", payer, day) == ({"hold"} if required else {"warn"}), payer


@pytest.mark.parametrize("layer", ["fact", "authorized_center"])
def test_accreditation_and_listing_are_required_of_both_facilities_and_never_overridden(
    layer: str, rules: Rulebook, guide_rules: Rulebook
) -> None:
    for book in (rules, guide_rules):
        rows = book.find(Certification, DAY, layer=layer)
        assert {row.holder for row in rows} == {"apheresis_facility", "infusion_facility"}
        assert all(row.enforcement == "hold" and not row.overridable for row in rows)
        assert all("apheresis" in row.stages for row in rows)


def test_only_fact_and_the_stock_are_not_per_product(rules: Rulebook) -> None:
    shared = {row.layer for row in rules.table(Certification) if not row.per_product}
    assert shared == {"fact"} | READINESS


def test_b_all_requires_its_experience_and_advises_more_stock(rules: Rulebook) -> None:
    asked = {row.layer for row in rules.find(Certification, DAY, product="tecartus", indication="b_all")}
    mcl = {row.layer for row in rules.find(Certification, DAY, product="tecartus", indication="mcl")}
    assert asked - mcl == {"b_all_experience", "tocilizumab_stock_b_all"}
    hold = rules.one(Certification, DAY, layer="tocilizumab_on_hand", product="tecartus", indication="b_all")
    advice = rules.one(Certification, DAY, layer="tocilizumab_stock_b_all", product="tecartus", indication="b_all")
    assert (hold.minimum, hold.enforcement, advice.enforcement) == (2, "hold", "warn")


def test_layers_are_certificates_of_the_catalog_or_stock_on_hand(rules: Rulebook, guide_rules: Rulebook) -> None:
    layers = {row.layer for book in (rules, guide_rules) for row in book.table(Certification)}
    assert layers == {layer.value for layer in Layer} | READINESS


def test_required_evidence_exists_in_the_catalog(rules: Rulebook) -> None:
    models = get_args(get_args(access.Evidence)[0])
    kinds = {kind for model in models for kind in get_args(model.model_fields["kind"].annotation)}
    asked = {row.requirement for row in rules.table(Eligibility)} - COMPUTED
    asked |= {kind for row in rules.table(Checklist) for kind in row.evidence}
    asked |= {kind for row in rules.table(SiteOfCare) for kind in row.documents}
    assert asked <= kinds


@pytest.mark.parametrize("payer", [*COMMERCIAL, "medicare"])
def test_the_indication_itself_holds_for_every_payer(payer: str, rules: Rulebook) -> None:
    assert {need(rules, r, payer, "mcl") for r in ("relapsed_refractory", "btk_inhibitor", "adult_age")} == {"hold"}
    assert {need(rules, r, payer, "b_all") for r in ("age_document", "cd19_flow", "prior_therapy", "cns_status")} == {
        "hold"
    }
    assert need(rules, "btk_inhibitor", payer, "b_all") == "not asked"
    assert need(rules, "cd19_flow", payer, "mcl") == "not asked"


@pytest.mark.parametrize(
    "requirement", ["ecog", "autoimmune", "lvef", "pulmonary_function", "imaging", "pathology", "cns_status"]
)
def test_the_other_documents_hold_for_insurers_and_warn_for_fee_for_service(requirement: str, rules: Rulebook) -> None:
    assert {need(rules, requirement, payer, "mcl") for payer in COMMERCIAL} == {"hold"}
    assert need(rules, requirement, "medicare", "mcl") == "warn"


def test_low_burden_is_required_of_outpatient_mcl_only(rules: Rulebook) -> None:
    assert need(rules, "tumour_burden", "uhc", "mcl", "outpatient") == "hold"
    assert need(rules, "tumour_burden", "medicare", "mcl", "outpatient") == "warn"
    assert need(rules, "tumour_burden", "uhc", "mcl") == "not asked"
    assert need(rules, "tumour_burden", "uhc", "b_all", "outpatient") == "not asked"


def test_no_question_of_a_gate_is_ambiguous(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        for indication in (row for row in book.table(Indication) if row.product in ("tecartus", "yescarta")):
            for payer in {row.key for row in book.table(Payer)}:
                asked = {"product": indication.product, "indication": indication.key, "payer": payer}
                for setting in ("inpatient", "outpatient", "office"):
                    assert book.one(SiteOfCare, DAY, setting=setting, **asked).policy


@pytest.mark.parametrize(
    ("indication", "payer", "policy"),
    [
        ("mcl", "uhc", "with_document"),
        ("mcl", "aetna", "with_document"),
        ("mcl", "medicare", "allowed"),
        ("b_all", "uhc", "held"),
        ("b_all", "medicare_advantage", "held"),
        ("b_all", "medicare", "with_document"),
    ],
)
def test_outpatient_infusion_by_payer(indication: str, payer: str, policy: str, rules: Rulebook) -> None:
    asked = {"product": "tecartus", "indication": indication, "payer": payer}
    assert rules.one(SiteOfCare, DAY, setting="outpatient", **asked).policy == policy
    assert rules.one(SiteOfCare, DAY, setting="inpatient", **asked).policy == "allowed"


def test_fee_for_service_requires_no_authorization_and_every_plan_does(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        assert not book.one(Payer, DAY, key="medicare").authorization_required
        assert all(book.one(Payer, DAY, key=payer).authorization_required for payer in COMMERCIAL)


def test_there_are_eleven_documents_and_twelve_denials_in_both_editions(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        assert sorted(row.number for row in book.table(Checklist)) == list(range(1, 12))
        assert sorted(row.number for row in book.table(Denial)) == list(range(1, 13))


def test_every_denial_a_gate_can_prevent_is_one_of_the_twelve(rules: Rulebook) -> None:
    rows = (*rules.table(Certification), *rules.table(Eligibility), *rules.table(SiteOfCare))
    assert {row.denial for row in rows if row.denial is not None} == {1, 2, 3, 4, 5, 11}


def test_each_of_the_twelve_denials_is_prevented_by_some_rule(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        prevented = {getattr(row, "denial", None) for row in every(book)}
        assert set(range(1, 13)) <= prevented


def test_every_indication_names_a_product_and_a_regimen_that_exist(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        for row in book.table(Indication):
            product = book.one(Product, row.effective_from, key=row.product)
            assert row.effective_from >= product.effective_from
            if row.regimen:
                assert book.one(Regimen, row.effective_from, key=row.regimen)
            if product.enabled:
                assert row.cells_per_kg
                assert row.cells_cap
                assert row.regimen


def test_a_diagnosis_or_age_of_another_product_names_that_product(rules: Rulebook) -> None:
    def owners(diagnosis: str, age: int) -> set[str]:
        return {
            row.product
            for row in rules.find(Indication, DAY)
            if diagnosis.startswith(row.diagnosis_prefixes)
            and (row.age_min is None or age >= row.age_min)
            and (row.age_max is None or age <= row.age_max)
        }

    assert owners("C83.18", 60) == {"tecartus", "breyanzi"}
    assert owners("C91.02", 28) == {"tecartus", "aucatzyl"}
    assert owners("C91.02", 17) == {"kymriah"}
    assert owners("C91.02", 25) == {"tecartus", "aucatzyl", "kymriah"}
    assert owners("C91.02", 26) == {"tecartus", "aucatzyl"}
    assert owners("C83.30", 60) == {"yescarta", "breyanzi", "kymriah"}
    assert owners("C90.00", 60) == {"abecma", "carvykti"}


def test_the_price_of_the_quarter_is_the_average_and_six_percent(rules: Rulebook) -> None:
    row = rules.one(Payment, DAY, kind="asp", code="Q2053")
    assert row.amount is not None
    assert row.average_sales_price is not None
    assert abs(row.average_sales_price * 106 / 100 - row.amount) < 1
    listed = rules.one(Payment, DAY, kind="list_price", code="Q2053")
    assert listed.amount is not None
    assert listed.amount < row.average_sales_price


def test_every_table_of_the_rulebook_has_a_cadence_and_assistance_reaches_every_payer_class(rules: Rulebook) -> None:
    refreshed = {table for row in rules.table(Refresh) for table in row.tables}
    assert set(rules.rows) - refreshed == {"refreshes", "corrections"}
    classes = {row.payer_class for row in rules.table(Payer)}
    assert classes <= {each for row in rules.table(Assistance) for each in row.payer_classes}
    assert ANY not in classes
