"""Small encounters written as facts: a day is an offset from the day of infusion, an hour is on the clock of the hospital."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from domain.billing import build_claims
from domain.billing.model import Claim, Line
from domain.encounter.facts import Fact, fold
from domain.encounter.record import Record
from domain.events import EventData, parse_data
from domain.rulebook import Rulebook
from domain.rulebook.rows import Edition
from domain.site import Site, parse_site
from tests.kit.rules import rulebook

ZONE = ZoneInfo("America/New_York")
FLUDARABINE_NDC, CYCLOPHOSPHAMIDE_NDC, TOCILIZUMAB_NDC = "63323-192-02", "10019-955-01", "50242-135-01"
TECARTUS_NDC, LOT = "71287-219-01", "LOT20260A"


_FACILITY = """
[[facilities]]
key = "{key}"
name = "{name}"
npi = "{npi}"
tax_id = "311234567"
taxonomy = "282N00000X"
time_zone = "America/New_York"
hospital_class = "{hospital_class}"
owner_group = "{owner}"
roles = ["apheresis", "infusion", "lymphodepletion"]
mac = "J15"
phone = "5555550100"
attending_npi = "1999999976"
attending_name = ["Attending", "Anne"]
[facilities.address]
line = "100 Main Street"
city = "Columbus"
state = "OH"
postal_code = "432151234"
"""

_CHARGES = {
    "collection": "4200.00",
    "transport_preparation": "900.00",
    "receipt_preparation": "3000.00",
    "cell_administration": "5000.00",
    "cell_product": "463000.00",
    "room_and_board": "3500.00",
    "fludarabine": "180.00",
    "cyclophosphamide": "45.00",
    "tocilizumab": "9.50",
    "chemo_infusion_initial": "450.00",
    "chemo_infusion_hour": "120.00",
    "chemo_infusion_sequential": "260.00",
    "chemo_push": "210.00",
    "chemo_push_additional": "150.00",
    "therapeutic_infusion": "380.00",
    "therapeutic_infusion_hour": "110.00",
}


@cache
def site() -> Site:
    """The example site: a hospital, its own office, an exempt hospital of another owner."""
    head = """
name = "St. Mary"
submitter_id = "STMARYHOSP"
contact_name = "Cell Therapy Billing"
contact_phone = "5555550100"
product_invoice_cost = { tecartus = "373000.00" }
[[payers]]
key = "medicare"
name = "Medicare"
receiver_id = "MACJURIS15"
payer_id = "15201"
[[payers]]
key = "aetna"
name = "Aetna"
receiver_id = "AETNA"
payer_id = "60054"
"""
    places = (
        ("st_mary", "St. Mary Hospital", "1234567893", "ipps", "mercy"),
        ("st_mary_office", "St. Mary Office", "1457700001", "office", "mercy"),
        ("st_mary_exempt", "St. Mary Cancer Hospital", "1669900003", "exempt", "exempt"),
        ("lakeside", "Lakeside Hospital", "1861900002", "ipps", "lakeside"),
    )
    body = "".join(_FACILITY.format(key=k, name=n, npi=_npi(i), hospital_class=c, owner=o) for k, n, i, c, o in places)
    charges = "".join(f'[[charges]]\nservice = "{s}"\namount = "{a}"\n' for s, a in _CHARGES.items())
    return parse_site(head + body + charges)


def _npi(stem: str) -> str:
    """The stem's first nine digits with the right check digit."""
    digits = "80840" + stem[:9]
    total = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(reversed(digits)))
    return stem[:9] + str(-total % 10)


@dataclass
class Story:
    """An encounter under construction. Day 0 is the day of infusion."""

    day0: date = date(2026, 6, 15)
    facts: list[Fact[EventData]] = field(default_factory=list)

    def at(self, day: int, hour: int = 9, minute: int = 0) -> datetime:
        return datetime.combine(self.day0 + timedelta(days=day), datetime.min.time(), ZONE).replace(
            hour=hour, minute=minute
        )

    def on(self, day: int) -> date:
        return self.day0 + timedelta(days=day)

    def add(self, event_type: str, when: datetime, **data: Any) -> Story:
        number = len(self.facts) + 1
        model = parse_data(event_type, _plain(data))
        self.facts.append(Fact(f"e{number}-{event_type[5:]}", "ehr", str(number), when, when, model))
        return self

    def referral(self, **changes: Any) -> Story:
        person = {
            "mrn": "M1",
            "name": {"family": "Test", "given": "Pat"},
            "birth_date": "1959-06-12",
            "sex": "male",
            "address": {"line": "1 Elm", "city": "Columbus", "state": "OH", "postal_code": "43215"},
        }
        data: dict[str, Any] = {
            "product": "tecartus",
            "indication": "mcl",
            "diagnosis": "C83.18",
            "patient": person,
            "coverage": {"payer": "medicare", "member_id": "1EG4TE5MK73"},
            "facilities": {"apheresis": "st_mary", "infusion": "st_mary"},
            "prescriber_npi": "1999999976",
            "planned_setting": "inpatient",
            "weight_kg": 70,
            "bsa_m2": 1.85,
        }
        return self.add("cart.referral.received", self.at(-45), **{**data, **changes})

    def evidence(self, kind: str, day: int = -40, **values: Any) -> Story:
        extra = {"values": values} if values else {}
        return self.add(
            "cart.evidence.added", self.at(day), kind=kind, document=f"doc-{kind}", dated=self.on(day), **extra
        )

    def authorization(self, number: str = "PA123", first: int = -40, last: int = 40) -> Story:
        return self.add(
            "cart.authorization.decided",
            self.at(-41),
            number=number,
            decision="approved",
            valid_from=self.on(first),
            valid_to=self.on(last),
        )

    def collection(self, day: int = -28, ordinal: int = 1, **changes: Any) -> Story:
        data = {
            "facility": "st_mary",
            "setting": "outpatient",
            "coi_id": "COI1",
            "din": f"DIN{ordinal}",
            "collection_ordinal": ordinal,
            "started_at": self.at(day, 8),
            "ended_at": self.at(day, 12),
            "access": "peripheral",
        }
        return self.add("cart.apheresis.completed", self.at(day, 12), **{**data, **changes})

    def release(self, bag: str = "BAG1", **changes: Any) -> Story:
        data = {
            "coi_id": "COI1",
            "bag_id": bag,
            "lot": LOT,
            "ndc": TECARTUS_NDC,
            "viable_car_cells": 140_000_000,
            "expires_on": self.on(300),
            "certificate": "coa-1",
        }
        return self.add("cart.product.released", self.at(-10), **{**data, **changes})

    def dose(
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
        data = {
            "drug": drug,
            "date": self.on(day),
            "dose_mg": mg,
            "wasted_mg": wasted,
            "ndc": ndc,
            "started_at": self.at(day, hour),
            "ended_at": self.at(day, hour) + timedelta(minutes=minutes),
            "route": "iv_infusion",
            "setting": "outpatient",
            "facility": "st_mary",
            "acquired_340b": False,
        }
        return self.add("cart.lymphodepletion.administered", self.at(day, hour), **{**data, **changes})

    def mcl_course(self, first: int = -5, **changes: Any) -> Story:
        for day in range(first, first + 3):
            self.dose("fludarabine", day, "55.5", hour=9, minutes=30, **changes)
            self.dose("cyclophosphamide", day, "925", hour=10, minutes=60, **changes)
        return self

    def b_all_course(self, cyclophosphamide: tuple[int, ...] = (-2,), **changes: Any) -> Story:
        for day in (-4, -3, -2):
            self.dose("fludarabine", day, "46.25", hour=9, minutes=30, **changes)
        for day in cyclophosphamide:
            self.dose("cyclophosphamide", day, "1665", hour=10, minutes=60, **changes)
        return self

    def admitted(self, day: int, name: str = "ADM1", hour: int = 7, **changes: Any) -> Story:
        data = {"admission_id": name, "facility": "st_mary", "at": self.at(day, hour)}
        return self.add("cart.admission.started", self.at(day, hour), **{**data, **changes})

    def discharged(self, day: int, name: str = "ADM1") -> Story:
        return self.add(
            "cart.admission.ended", self.at(day, 11), admission_id=name, at=self.at(day, 11), discharge_status="01"
        )

    def handed_over(self) -> Story:
        """The hand-overs between collection and infusion that a payer's timeline asks for (G437)."""
        for day, step in ((-20, "courier_pickup"), (-19, "manufacturing_start"), (-7, "shipped"), (-6, "site_receipt")):
            when = self.at(day, 12)
            self.add("cart.custody.recorded", when, step=step, coi_id="COI1", at=when, by="S1", location="lab")
        return self

    def infused(self, setting: str = "inpatient", day: int = 0, bag: str = "BAG1", **changes: Any) -> Story:
        data = {
            "bag_id": bag,
            "facility": "st_mary",
            "setting": setting,
            "at": self.at(day, 13),
            "access": "peripheral",
            "label": {"coi_id": "COI1", "hcpcs": "Q2053", "ndc": TECARTUS_NDC, "lot": LOT},
            "cells_infused": 140_000_000,
        }
        self.add("cart.infusion.started", self.at(day, 12), **{**data, **changes, "at": self.at(day, 12)})
        return self.add("cart.infusion.completed", self.at(day, 13), **{**data, **changes})

    def toxicity(self, day: int, crs: int | None = None, icans: int | None = None, hour: int = 15) -> Story:
        when = self.at(day, hour)
        data = {"at": when, "crs_grade": crs, "icans_grade": icans, "scale": "astct_2019", "assessor_role": "physician"}
        return self.add("cart.toxicity.assessed", when, **data)

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
        return self.add("cart.medication.administered", when, **{**data, **changes})

    def coded(
        self, name: str = "ADM1", principal: str = "C83.18", *others: tuple[str, str | None], **changes: Any
    ) -> Story:
        data: dict[str, Any] = {
            "admission_id": name,
            "admitting_diagnosis": principal,
            "principal_diagnosis": principal,
            "principal_poa": "Y",
            "other_diagnoses": [{"code": code, "poa": poa} for code, poa in others],
        }
        return self.add("cart.coding.completed", self.at(30), **{**data, **changes})

    def charge(
        self, name: str, day: int, revenue: str, amount: str, hcpcs: str | None = None, units: int = 1, **changes: Any
    ) -> Story:
        what = {"charge_id": name, "revenue_code": revenue, "hcpcs": hcpcs}
        data = {**what, "units": units, "amount": amount, "date": self.on(day)}
        return self.add("cart.charge.posted", self.at(day, 20), **{**data, **changes})

    # what comes of it

    def record(self) -> Record:
        return Record(fold(self.facts))

    def claims(self, edition: Edition = "current", rules: Rulebook | None = None) -> tuple[Claim, ...]:
        return build_claims(self.record(), site(), rules or rulebook(edition))

    def claim(self, key: str, edition: Edition = "current") -> Claim:
        return next(claim for claim in self.claims(edition) if claim.key == key)

    def claim_keys(self, edition: Edition = "current") -> list[str]:
        return [claim.key for claim in self.claims(edition)]


def mcl_inpatient(admission: int = -1, payer: str = "medicare", **referral: Any) -> Story:
    """The guide's adult with MCL, 70 kg and 1.85 m2, infused in a stay that begins `admission` days from the infusion."""
    story = Story().referral(coverage={"payer": payer, "member_id": "1EG4TE5MK73"}, **referral)
    story.collection().release().mcl_course()
    return story.admitted(admission).infused().discharged(14).coded()


def b_all_inpatient(cyclophosphamide: tuple[int, ...] = (-2,), admission: int = -5) -> Story:
    """The guide's 28-year-old with B-ALL, admitted before lymphodepletion; commercial payer."""
    person = {
        "mrn": "M2",
        "name": {"family": "Test", "given": "Sam"},
        "birth_date": "1998-01-20",
        "sex": "female",
        "address": {"line": "1 Elm", "city": "Columbus", "state": "OH", "postal_code": "43215"},
    }
    story = Story().referral(
        indication="b_all", diagnosis="C91.02", patient=person, coverage={"payer": "aetna", "member_id": "W1"}
    )
    story.authorization().collection().release().b_all_course(cyclophosphamide, setting="inpatient")
    return story.handed_over().admitted(admission).infused(access="central").discharged(16).coded("ADM1", "C91.02")


def lines(claim: Claim, hcpcs: str) -> list[Line]:
    return [line for line in claim.lines if line.hcpcs == hcpcs]


def units(claim: Claim, hcpcs: str) -> int:
    return sum(line.units for line in lines(claim, hcpcs))


def edit_ids(claim: Claim) -> set[str]:
    return {edit.id for edit in claim.edits}


def error_ids(claim: Claim) -> set[str]:
    return {edit.id for edit in claim.errors}


def _plain(value: Any) -> Any:
    """JSON of a datum as a feed would send it."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
    return value
