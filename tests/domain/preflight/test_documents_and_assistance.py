"""The documents of the checklist, assistance programs, planned days and the cost stack."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.preflight import Preflight
from domain.preflight.answer import Cost
from domain.rulebook import Rulebook, load
from domain.rulebook.rows import Assistance, Payer
from domain.site import Site
from tests.kit import referrals as r

LIMIT = """
[[payments]]
id = "payments.asp.Q2053.2026Q2"
kind = "asp"
code = "Q2053"
title = "no limit this quarter"
basis = "invoice + 6 %"
quarter = "2026Q2"
effective_from = 2026-04-01
effective_to = 2026-06-30
source = ["G400"]
status = "verified"
refresh = "quarterly"
"""


def cost(answer: Preflight, part: str) -> list[Cost]:
    return [one for one in answer.costs if one.part == part]


class TestDocuments:
    def test_a_document_of_several_kinds_needs_them_all(self, site: Site, rules: Rulebook) -> None:
        answer = r.judged(r.without(r.insured("uhc"), "pulmonary_function"), site, rules)

        document = next(document for document in answer.papers if document.number == 10)
        assert not document.present
        assert document.lacking == ("pulmonary_function",)
        flow = r.judged(r.without(r.data(r.B_ALL), "age_document"), site, rules)
        assert next(p for p in flow.papers if p.number == 5).lacking == ("age_document",)

    def test_certificates_on_file_count_as_documents(self, site: Site, uncertified: Site, rules: Rulebook) -> None:
        bare = r.without(r.insured("uhc"), "fact_certificate", "rems_letter")

        documents_by_number = {document.number: document for document in r.judged(bare, site, rules).papers}
        none = {document.number: document for document in r.judged(bare, uncertified, rules).papers}

        assert documents_by_number[1].at_hand == documents_by_number[2].at_hand == ("certificate on file",)
        assert (none[1].lacking, none[2].lacking) == (("fact_certificate",), ("rems_letter",))

    @pytest.mark.parametrize("change", [{"product": "yescarta"}, {"valid_to": "2026-04-25"}, {"holder": "lakeside"}])
    def test_a_letter_of_another_product_day_or_holder_does_not_count(
        self, uncertified: Site, rules: Rulebook, change: dict[str, str]
    ) -> None:
        body = r.insured("uhc")
        letters = [document for document in body["evidence"] if document["kind"] == "rems_letter"]
        for letter in letters:
            letter["values"] = {**letter["values"], **change}

        answer = r.judged(body, uncertified, rules)

        assert r.present(answer)[2] is False
        assert 5 in {risk.number for risk in answer.denials if "papers.rems_letter" in risk.because}

    def test_one_letter_is_not_two(self, uncertified: Site, rules: Rulebook) -> None:
        body = r.insured("uhc")
        facility = [p for p in body["evidence"] if p["kind"] == "rems_letter" and p["values"]["holder"] == "st_mary"]
        body = r.without(body, "rems_letter")
        body["evidence"] = [*body["evidence"], *facility]

        assert r.present(r.judged(body, uncertified, rules))[2] is False

    def test_a_document_that_is_too_old_or_against_the_request_does_not_count(
        self, site: Site, rules: Rulebook
    ) -> None:
        body = r.without(r.insured("uhc"), "tumour_burden")
        for document in body["evidence"]:
            if document["kind"] == "imaging":
                document["dated"] = "2026-01-15"
            if document["kind"] == "ecog":
                document["values"] = {"score": 4}

        answer = r.judged(body, site, rules)

        assert {document.number for document in answer.papers if not document.present} == {6, 8}
        assert {"eligibility.imaging", "eligibility.ecog"} <= r.missing(answer)

    def test_the_documents_are_those_of_the_indication(self, site: Site, rules: Rulebook) -> None:
        assert sorted(r.present(r.judged(r.data(), site, rules))) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert sorted(r.present(r.judged(r.data(r.B_ALL), site, rules))) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


class TestHelp:
    def titles(self, answer: Preflight) -> str:
        return "; ".join(help_.title for help_ in answer.assistance)

    def test_copay_support_is_for_commercial_coverage_and_foundations_for_medicare(
        self, site: Site, rules: Rulebook
    ) -> None:
        commercial = self.titles(r.judged(r.insured("uhc"), site, rules))
        medicare = self.titles(r.judged(r.data(), site, rules))

        assert "copay support" in commercial
        assert "Patient Access Network" not in commercial
        assert "copay support" not in medicare
        assert "Patient Access Network" in medicare
        assert "case management" in commercial
        assert "case management" in medicare

    def test_grants_of_one_disease_are_for_that_disease(self, site: Site, rules: Rulebook) -> None:
        assert "Society travel" not in self.titles(r.judged(r.insured("uhc"), site, rules))
        assert "Society travel" in self.titles(r.judged(r.data(r.B_ALL), site, rules))

    def test_limits_of_income_and_distance_are_shown(self, site: Site, rules: Rulebook) -> None:
        answer = r.judged(r.data(), site, rules)

        assert [help_.income_percent_fpl for help_ in answer.assistance if help_.income_percent_fpl] == [500]
        assert [help_.distance_miles for help_ in answer.assistance if help_.distance_miles] == [50]
        assert all(help_.check and help_.condition and help_.citation for help_ in answer.assistance)

    def test_a_manufacturer_assists_with_its_own_products(self, site: Site, rules: Rulebook) -> None:
        other = r.judged(r.insured("uhc", r.B_ALL, product="aucatzyl"), site, rules)

        assert "Kite Konnect: " not in self.titles(other)
        assert "Gilead" not in self.titles(other)

    def test_every_payer_class_has_some_assistance(self, rules: Rulebook) -> None:
        for payer in rules.table(Payer):
            assert any(payer.payer_class in row.payer_classes for row in rules.table(Assistance)), payer.key


class TestDates:
    @settings(max_examples=80, deadline=None)
    @given(
        start=st.dates(date(2024, 1, 1), date(2028, 12, 31)),
        feed=st.sampled_from([r.MCL, r.B_ALL]),
    )
    def test_the_plan_runs_through_month_ends_and_leap_days_without_a_gap(
        self, site: Site, rules: Rulebook, start: date, feed: str
    ) -> None:
        answer = r.judged(r.data(feed), site, rules, datetime(start.year, start.month, start.day, 17, tzinfo=UTC))
        plan = {one.what: one for one in answer.dates}
        first = -5 if feed == r.MCL else -4

        assert plan["collection"].first == start
        assert [(d - start).days for d in (plan["expected release"].first, plan["expected release"].last)] == [16, 19]
        zero = plan["infusion (day 0)"].first
        doses = plan["lymphodepletion"]
        assert (doses.first - plan["product at the center"].last).days == 1
        assert [(d - zero).days for d in (doses.first, doses.last)] == [first, first + 2]
        daily, near = plan["daily assessment after infusion"], plan["patient stays near the center after infusion"]
        assert (daily.first - zero).days == (near.first - zero).days == 1
        assert (daily.last - zero).days == (7 if feed == r.MCL else 14)
        assert (near.last - zero).days == 28
        assert all(one.first <= one.last and one.assumption for one in answer.dates)
        assert [gate.on for gate in answer.gates] == [start, doses.first, zero]

    @pytest.mark.parametrize("year", [2027, 2028])
    def test_the_end_of_february(self, site: Site, rules: Rulebook, year: int) -> None:
        now = datetime(year, 2, monthrange(year, 2)[1], 17, tzinfo=UTC)

        plan = {one.what: one.first for one in r.judged(r.data(), site, rules, now).dates}

        assert plan["expected release"] == date(year, 3, 16)

    def test_the_day_is_that_of_the_hospital(self, site: Site, rules: Rulebook) -> None:
        assert r.judged(r.data(), site, rules, datetime(2026, 4, 27, 2, tzinfo=UTC)).judged_for == date(2026, 4, 26)

    def test_the_night_the_clocks_change_shifts_no_day(self, site: Site, rules: Rulebook) -> None:
        eve = datetime(2026, 3, 8, 4, 59, tzinfo=UTC)
        before, after = (
            r.judged(r.data(), site, rules, eve),
            r.judged(r.data(), site, rules, eve + timedelta(minutes=1)),
        )

        assert (after.judged_for - before.judged_for).days == 1
        assert [(b.first - a.first).days for a, b in zip(before.dates, after.dates, strict=True)] == [1] * 7


class TestCosts:
    def test_every_part_has_an_amount_or_a_reason_for_none(self, site: Site, rules: Rulebook) -> None:
        for feed in (r.MCL, r.B_ALL, r.OUTPATIENT):
            answer = r.judged(r.data(feed), site, rules)
            assert {"product", "stay", "lymphodepletion", "reserve"} <= {one.part for one in answer.costs}
            for one in answer.costs:
                assert one.assumption
                assert one.amount is not None or one.basis or "no " in one.assumption, one

    def test_the_product_has_the_limit_of_the_planned_quarter(self, site: Site, rules: Rulebook) -> None:
        product, invoice = cost(r.judged(r.data(), site, rules), "product")

        assert (product.code, product.amount, product.basis) == ("Q2053", Decimal("489290.601"), "ASP + 6 %")
        assert product.on == date(2026, 5, 25)
        assert "inside" in product.assumption
        assert invoice.amount == Decimal("424000.00")

    def test_a_planned_quarter_without_a_row_shows_the_current_one_with_a_note(
        self, site: Site, rules: Rulebook
    ) -> None:
        late = r.judged(r.data(), site, rules, datetime(2026, 6, 20, 17, tzinfo=UTC))
        never = r.judged(r.data(), site, rules, datetime(2026, 8, 20, 17, tzinfo=UTC))

        shown = cost(late, "product")[0]
        assert shown.amount == Decimal("489290.601")
        assert shown.on == date(2026, 6, 20)
        assert "for orientation" in shown.assumption
        none = cost(never, "product")[0]
        assert none.amount is None
        assert "invoice" in none.basis
        assert "G400" in none.assumption

    def test_a_row_without_an_amount_names_what_is_paid_instead(
        self, site: Site, rulebook_files: dict[str, str]
    ) -> None:
        head, _, rest = rulebook_files["payments.toml"].partition("[[payments]]")
        others = rest.partition("[[payments]]")[2]
        quarter = load({**rulebook_files, "payments.toml": f"{head}{LIMIT}\n[[payments]]{others}"})

        product = cost(r.judged(r.data(), site, quarter), "product")[0]

        assert (product.amount, product.basis, product.rule) == (None, "invoice + 6 %", "payments.asp.Q2053.2026Q2")

    def test_an_inpatient_stay_has_its_group_and_an_outpatient_infusion_its_groups(
        self, site: Site, rules: Rulebook
    ) -> None:
        stay = cost(r.judged(r.data(), site, rules), "stay")
        visits = cost(r.judged(r.data(r.OUTPATIENT), site, rules), "stay")

        assert [one.code for one in stay] == ["018"]
        assert "43.1828" in stay[0].basis
        assert {one.code for one in visits} == {"9248", "9391", "5694"}
        assert all("Addendum B" in one.basis and one.status == "unconfirmed" for one in visits)
        assert cost(r.judged(r.data(r.OUTPATIENT), site, rules), "add_on") == []
        assert [one.amount for one in cost(r.judged(r.data(), site, rules), "add_on")] == [Decimal(0)]

    def test_drugs_are_shown_by_billing_unit_and_no_dose_is_calculated(self, site: Site, rules: Rulebook) -> None:
        drugs = cost(r.judged(r.data(), site, rules), "lymphodepletion")

        assert [(one.what, one.code, one.unit) for one in drugs] == [
            ("fludarabine", "J9185", "50 mg"),
            ("cyclophosphamide", "J9070", "100 mg"),
        ]
        heavier = r.data(weight_kg=140, bsa_m2="2.7")
        assert cost(r.judged(heavier, site, rules), "lymphodepletion") == drugs

    def test_tocilizumab_is_in_reserve_with_the_stock_that_the_gate_requires(self, site: Site, rules: Rulebook) -> None:
        mcl = cost(r.judged(r.data(), site, rules), "reserve")
        ball = cost(r.judged(r.data(r.B_ALL), site, rules), "reserve")

        assert [(one.what, one.code) for one in mcl] == [("tocilizumab", "J3262")]
        assert "at least 2 doses" in mcl[0].assumption
        assert "at least 4 doses" in ball[0].assumption
        assert "Q5133" in mcl[0].assumption

    def test_amounts_for_another_payer_are_marked_as_those_of_medicare(self, site: Site, rules: Rulebook) -> None:
        assert any("Medicare" in text for text in r.judged(r.insured("uhc"), site, rules).assumptions)
        assert not any("contract" in text for text in r.judged(r.data(), site, rules).assumptions)
