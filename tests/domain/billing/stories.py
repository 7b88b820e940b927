"""Small encounters for the tests of billing: charts of the two worked patients, and how to vary them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from domain.billing.model import Claim, Line
from tests.kit import stories as kit
from tests.kit.patient import coverage, patient, referral

FLUDARABINE_NDC, CYCLOPHOSPHAMIDE_NDC, TOCILIZUMAB_NDC = "63323-192-02", "10019-955-01", "50242-135-01"


@dataclass
class Story(kit.Story):
    """The story builder in the steps of a chart that is billed; each returns the story, to be written in a line."""

    day0: date = date(2026, 6, 15)

    def date_of(self, day: int) -> date:
        return self.day0 + timedelta(days=day)

    def fact(self, event_type: str, when: datetime, **data: Any) -> Story:
        self.report_at(when, event_type, data)
        return self

    def referral(self, **changes: Any) -> Story:
        return self.fact("cart.referral.received", self.at(-45), **referral(**changes))

    def evidence(self, kind: str, day: int = -40, **values: Any) -> Story:
        self.add(day, kind, values or None)
        return self

    def authorization(self, number: str = "PA123", first: int = -40, last: int = 40) -> Story:
        self.authorize(-41, first, last, number)
        return self

    def collection(self, day: int = -28, ordinal: int = 1, **changes: Any) -> Story:
        hours = {"started_at": self.at(day, 8), "ended_at": self.at(day, 12)}
        self.collect(day, ordinal, **{"din": f"DIN{ordinal}", **hours, **changes})
        return self

    def released(self, bag: str = kit.BAG, **changes: Any) -> Story:
        self.release(-10, bag, **changes)
        return self

    def dosed(
        self,
        drug: str,
        day: int,
        mg: float | str,
        wasted: float | str = 0,
        *,
        hour: int = 9,
        minutes: int = 30,
        **changes: Any,
    ) -> Story:
        ndc = FLUDARABINE_NDC if drug == "fludarabine" else CYCLOPHOSPHAMIDE_NDC
        start = self.at(day, hour)
        times = {"started_at": start, "ended_at": start + timedelta(minutes=minutes)}
        self.dose(day, drug, mg, **{"wasted_mg": wasted, "ndc": ndc, **times, **changes})
        return self

    def mcl_course(self, first: int = -5, **changes: Any) -> Story:
        for day in range(first, first + 3):
            self.dosed("fludarabine", day, "55.5", hour=9, minutes=30, **changes)
            self.dosed("cyclophosphamide", day, "925", hour=10, minutes=60, **changes)
        return self

    def b_all_course(self, cyclophosphamide: tuple[int, ...] = (-2,), **changes: Any) -> Story:
        for day in (-4, -3, -2):
            self.dosed("fludarabine", day, "46.25", hour=9, minutes=30, **changes)
        for day in cyclophosphamide:
            self.dosed("cyclophosphamide", day, "1665", hour=10, minutes=60, **changes)
        return self

    def admitted(self, day: int, name: str = "ADM1", hour: int = 7, **changes: Any) -> Story:
        self.admit(day, name, hour, **changes)
        return self

    def discharged(self, day: int, name: str = "ADM1") -> Story:
        self.discharge(day, name, hour=11)
        return self

    def handed_over(self) -> Story:
        """The transfers between collection and infusion that a payer's timeline requires (G437)."""
        for day, step in ((-20, "courier_pickup"), (-19, "manufacturing_start"), (-7, "shipped"), (-6, "site_receipt")):
            self.transfer(day, step)
        return self

    def infused(self, setting: str = "inpatient", day: int = 0, bag: str = kit.BAG, **changes: Any) -> Story:
        data = {"setting": setting, **changes}
        self.infuse(day, "started", bag, 12, 0, **{**data, "at": self.at(day, 12)})
        self.infuse(day, "completed", bag, 13, 0, **data)
        return self

    def toxicity(self, day: int, crs: int | None = None, icans: int | None = None, hour: int = 15) -> Story:
        self.assess(day, crs, icans, hour)
        return self

    def tocilizumab(self, day: int, hour: int = 16, setting: str = "inpatient", **changes: Any) -> Story:
        when = self.at(day, hour)
        data = {
            "drug": "tocilizumab",
            "ndc": TOCILIZUMAB_NDC,
            "dose_mg": 560,
            "wasted_mg": 0,
            "at": when,
            "ended_at": when + timedelta(minutes=60),
            "indication": "crs",
            "setting": setting,
            "facility": "st_mary",
        }
        return self.fact("cart.medication.administered", when, **{**data, **changes})

    def coded(
        self, name: str = "ADM1", principal: str = "C83.18", *others: tuple[str, str | None], **changes: Any
    ) -> Story:
        data: dict[str, Any] = {
            "admitting_diagnosis": principal,
            "principal_diagnosis": principal,
            "other_diagnoses": [{"code": code, "poa": poa} for code, poa in others],
            "procedures": None,
        }
        self.code(30, name, **{**data, **changes})
        return self

    def charge(
        self, name: str, day: int, revenue: str, amount: str, hcpcs: str | None = None, units: int = 1, **changes: Any
    ) -> Story:
        what = {"charge_id": name, "revenue_code": revenue, "hcpcs": hcpcs}
        data = {**what, "units": units, "amount": amount, "date": self.date_of(day)}
        return self.fact("cart.charge.posted", self.at(day, 20), **{**data, **changes})


def mcl_inpatient(admission: int = -1, payer: str = "medicare", **changes: Any) -> Story:
    """The guide's adult with MCL, 70 kg and 1.85 m2, infused in a stay that begins `admission` days from the infusion."""
    story = Story().referral(coverage=coverage(payer), **changes)
    story.collection().released().mcl_course()
    return story.admitted(admission).infused().discharged(14).coded()


def b_all_inpatient(cyclophosphamide: tuple[int, ...] = (-2,), admission: int = -5) -> Story:
    """The guide's 28-year-old with B-ALL, admitted before lymphodepletion; commercial payer."""
    story = Story().referral(
        indication="b_all",
        diagnosis="C91.02",
        patient=patient(birth_date="1998-01-20"),
        coverage={"payer": "aetna", "member_id": "W1"},
    )
    story.authorization().collection().released().b_all_course(cyclophosphamide, setting="inpatient")
    return story.handed_over().admitted(admission).infused(access="central").discharged(16).coded("ADM1", "C91.02")


def lines(claim: Claim, hcpcs: str) -> list[Line]:
    return [line for line in claim.lines if line.hcpcs == hcpcs]


def units(claim: Claim, hcpcs: str) -> int:
    return sum(line.units for line in lines(claim, hcpcs))


def edit_ids(claim: Claim) -> set[str]:
    return {edit.id for edit in claim.edits}


def error_ids(claim: Claim) -> set[str]:
    return {edit.id for edit in claim.errors}
