"""Missing requirements of a referral by the gates, for the collection today and the planned days after it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decision.decide import decide
from domain.encounter.facts import Fact, fold
from domain.events import InvalidEvent, parse_data
from domain.events.base import Stage
from domain.preflight import read_referral
from domain.rulebook import Rulebook
from domain.site import Site
from tests.kit import referrals as r

EVIDENCE = tuple(document["kind"] for document in r.data()["evidence"])


def test_a_complete_referral_is_cleared_today_and_on_the_planned_days(site: Site, rules: Rulebook) -> None:
    answer = r.judged(r.data(), site, rules)

    assert answer.cleared
    assert answer.missing == ()
    assert answer.denials == ()
    assert [(gate.gate, gate.open) for gate in answer.gates] == [
        ("apheresis", True),
        ("lymphodepletion", True),
        ("infusion", True),
    ]


def test_the_result_is_that_of_the_gate_of_an_encounter(site: Site, rules: Rulebook) -> None:
    body = r.without(r.insured("uhc"), "btk_inhibitor", "ecog")
    referral = read_referral(body)
    fact = Fact("evt_1", "urn:test", "1", r.NOW, r.NOW, referral)

    gate = next(g for g in decide(fold([fact]), site, rules, r.NOW).gates if g.stage is Stage.APHERESIS)

    answer = r.judged(body, site, rules)
    seen = {one.requirement for one in answer.missing if one.gate == "apheresis"}
    assert seen == {requirement.key for requirement in gate.unmet}
    assert answer.cleared == gate.open is False


@pytest.mark.parametrize(("kind", "denial"), [("btk_inhibitor", 2), ("prior_therapy_log", None), ("ecog", None)])
def test_a_missing_document_is_named_with_its_fix_and_denial(
    site: Site, rules: Rulebook, kind: str, denial: int | None
) -> None:
    body = r.without(r.insured("uhc"), kind)
    if kind == "btk_inhibitor":  # a complete entry of the log documents it too
        body = {**body, "prior_therapies": [t for t in body["prior_therapies"] if t["class"] != "btk_inhibitor"]}
    answer = r.judged(body, site, rules)

    found = [one for one in answer.missing if one.requirement == f"eligibility.{kind}"]
    if kind == "prior_therapy_log":  # the therapies of the referral are the log
        assert found == []
        return
    assert [one.denial for one in found] == [denial]
    assert found[0].fix
    assert found[0].rule.startswith("eligibility.")
    if denial:
        assert denial in {risk.number for risk in answer.denials if risk.holds}


@pytest.mark.parametrize(("kind", "denial"), [("cd19_flow", 3), ("age_document", 3)])
def test_the_documents_of_b_all(site: Site, rules: Rulebook, kind: str, denial: int) -> None:
    answer = r.judged(r.without(r.data(r.B_ALL), kind), site, rules)

    assert f"eligibility.{kind}" in r.missing(answer)
    assert denial in {risk.number for risk in answer.denials}


def test_certificates_reported_since_count_beside_those_of_the_site_file(uncertified: Site, rules: Rulebook) -> None:
    lacking = {one.requirement for one in r.judged(r.data(), uncertified, rules).missing}
    assert {"readiness.fact.apheresis_facility", "readiness.authorized_center.infusion_facility"} <= lacking

    reported = tuple(
        certificate(layer, holder, product)
        for layer, holder, product in (("fact", "st_mary", None), ("authorized_center", "st_mary", "tecartus"))
    )

    left = r.missing(r.judged(r.data(), uncertified, rules, holders=reported))
    assert "readiness.fact.apheresis_facility" not in left
    assert "readiness.authorized_center.infusion_facility" not in left


def test_a_certificate_of_the_sister_product_does_not_count(uncertified: Site, rules: Rulebook) -> None:
    reported = (certificate("authorized_center", "st_mary", "yescarta"),)

    answer = r.judged(r.data(), uncertified, rules, holders=reported)

    found = next(one for one in answer.missing if one.requirement == "readiness.authorized_center.apheresis_facility")
    assert "another product" in found.missing
    assert not answer.cleared
    assert 1 in {risk.number for risk in answer.denials if risk.holds}


def test_a_certificate_that_ends_before_the_planned_infusion_is_missing_for_it_alone(
    uncertified: Site, site: Site, rules: Rulebook
) -> None:
    ending = tuple(
        filed.model_copy(update={"valid_to": date(2026, 5, 22)})
        if (filed.layer.value, filed.holder) == ("fact", "st_mary")
        else filed
        for filed in site.certifications
    )

    answer = r.judged(r.data(), uncertified.model_copy(update={"certifications": ending}), rules)

    assert answer.cleared
    assert {(one.requirement, one.gate) for one in answer.missing} == {
        ("readiness.fact.infusion_facility", "infusion"),
    }
    assert [gate.open for gate in answer.gates] == [True, True, False]


def test_stock_and_intensive_care_are_required_for_the_planned_infusion(site: Site, rules: Rulebook) -> None:
    answer = r.judged(r.data(), site.model_copy(update={"readiness": ()}), rules)

    assert answer.cleared
    assert {(one.requirement, one.gate) for one in answer.missing} == {
        ("readiness.tocilizumab_on_hand.infusion_facility", "infusion"),
        ("readiness.icu_backup.infusion_facility", "infusion"),
    }


def test_b_all_as_outpatient_risks_denial_eleven(site: Site, rules: Rulebook) -> None:
    answer = r.judged(r.data(r.B_ALL, planned_setting="outpatient"), site, rules)

    assert "site_of_care.setting" in r.missing(answer)
    assert 11 in {risk.number for risk in answer.denials}


def test_an_age_of_another_product_names_that_product(site: Site, rules: Rulebook) -> None:
    child = r.data(r.B_ALL)
    child["patient"] = {**child["patient"], "birth_date": "2012-03-01"}

    answer = r.judged(child, site, rules)

    assert "Kymriah" in next(one for one in answer.missing if one.requirement == "eligibility.age").missing


def test_a_patient_who_turns_eighteen_after_today_is_not_old_enough_today(site: Site, rules: Rulebook) -> None:
    today, born = datetime(2026, 2, 28, 17, tzinfo=UTC), "2008-02-29"
    young = r.data(r.B_ALL)
    young["patient"] = {**young["patient"], "birth_date": born}

    assert "eligibility.adult_age" in r.missing(r.judged(young, site, rules, today))
    later = r.judged(young, site, rules, datetime(2026, 3, 1, 17, tzinfo=UTC))
    assert "eligibility.adult_age" not in r.missing(later)


def test_an_unknown_product_payer_and_center_have_a_result(site: Site, rules: Rulebook) -> None:
    body = r.insured("no_such_payer", product="nothing", indication="none")
    body["facilities"] = {"apheresis": "elsewhere", "infusion": "elsewhere"}

    answer = r.judged(body, site, rules)

    assert not answer.cleared
    assert {"data.payer", "data.facilities", "eligibility.product"} <= r.missing(answer)
    assert [one.what for one in answer.dates] == ["collection"]
    assert answer.costs == ()
    assert len(answer.assumptions) >= 3


@settings(max_examples=60, deadline=None)
@given(
    base=st.sampled_from([(r.MCL, "uhc"), (r.MCL, "medicare"), (r.B_ALL, "aetna"), (r.OUTPATIENT, "cigna")]),
    dropped=st.sets(st.integers(0, 30)),
    restored=st.sets(st.integers(0, 30)),
)
def test_adding_a_document_never_adds_a_missing_requirement(
    site: Site, rules: Rulebook, base: tuple[str, str], dropped: set[int], restored: set[int]
) -> None:
    whole = r.insured(base[1], base[0])
    fewer = keep(whole, lambda index: index not in dropped)
    more = keep(whole, lambda index: index not in dropped or index in restored)

    before, after = r.judged(fewer, site, rules), r.judged(more, site, rules)

    assert r.missing(after) <= r.missing(before)
    assert len(after.missing) <= len(before.missing)
    assert {risk.number for risk in after.denials} <= {risk.number for risk in before.denials}
    assert all(now for number, now in r.present(after).items() if r.present(before)[number])
    assert after.cleared or not before.cleared


def keep(body: dict[str, Any], wanted: Any) -> dict[str, Any]:
    return {**body, "evidence": [document for index, document in enumerate(body["evidence"]) if wanted(index)]}


def certificate(layer: str, holder: str, product: str | None) -> Fact[Any]:
    body = {"layer": layer, "holder": holder, "product": product, "status": "active", "valid_from": "2020-01-01"}
    change = parse_data("cart.certification.changed", body)
    return Fact(f"evt_{layer}", "urn:test", f"{layer}-{holder}", r.NOW, r.NOW, change)


def test_the_result_holds_no_identity(site: Site, rules: Rulebook) -> None:
    text = r.judged(r.without(r.insured("uhc"), "ecog", "rems_letter"), site, rules).model_dump_json()

    for value in ("SYNTHETIC", "MRN-A", "1EG4TE5MK73", "100 EXAMPLE STREET", "1234560211", "DOC-A"):
        assert value not in text


class TestRequest:
    def test_the_data_alone_and_the_whole_event_give_the_same_result(self) -> None:
        assert read_referral(r.event()) == read_referral(r.event()["data"])
        bare = {"type": "cart.referral.received", "data": r.data()}
        assert read_referral(bare) == read_referral(r.event())

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ([], "(body)"),
            ("text", "(body)"),
            (None, "(body)"),
            ({"specversion": "1.0", "type": "cart.evidence.added", "data": {}}, "type"),
            ({"type": "cart.referral.received", "specversion": "1.0"}, "data"),
            ({"type": "cart.referral.received", "data": [1]}, "data"),
            ({}, "data.product"),
            ({"type": "cart.referral.received", "data": {"product": 7}}, "data.product"),
        ],
    )
    def test_anything_else_is_refused_with_its_path(self, body: object, path: str) -> None:
        with pytest.raises(InvalidEvent) as refused:
            read_referral(body)

        assert path in {problem.path for problem in refused.value.problems}

    def test_a_refusal_never_repeats_a_value(self) -> None:
        broken = r.data()
        broken["patient"] = {**broken["patient"], "birth_date": "CANARY-1", "sex": "CANARY-2"}
        broken["evidence"] = [{**broken["evidence"][0], "dated": "CANARY-3"}]

        with pytest.raises(InvalidEvent) as refused:
            read_referral(broken)

        assert {"data.patient.birth_date", "data.patient.sex", "data.evidence.0.dated"} <= {
            problem.path for problem in refused.value.problems
        }
        assert "CANARY" not in str(refused.value)
