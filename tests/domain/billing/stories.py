"""Small encounters written as facts: a day is an offset from the day of infusion, an hour is on the clock of the hospital."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.billing import build_claims
from domain.billing.model import Claim, Line
from domain.encounter.facts import Fact, fold
from domain.encounter.record import Record
from domain.events import EventData, parse_data
from domain.rulebook import Rulebook
from domain.rulebook.rows import Edition
from domain.site import Site
from tests.kit.patient import coverage, patient, referral
from tests.kit.rules import rulebook
from tests.kit.site import site

ZONE = ZoneInfo("America/New_York")
FLUDARABINE_NDC, CYCLOPHOSPHAMIDE_NDC, TOCILIZUMAB_NDC = "63323-192-02", "10019-955-01", "50242-135-01"
TECARTUS_NDC, LOT = "71287-219-01", "LOT20260A"


@dataclass
class Story:
    """An encounter under construction. Day 0 is the day of infusion."""

    day0: date = date(2026, 6, 15)
    facts: list[Fact[EventData]] = field(default_factory=list)
    site: Site = field(default_factory=site)

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
        return self.add("cart.referral.received", self.at(-45), **referral(**changes))

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
        return build_claims(self.record(), self.site, rules or rulebook(edition))

    def claim(self, key: str, edition: Edition = "current") -> Claim:
        return next(claim for claim in self.claims(edition) if claim.key == key)

    def claim_keys(self, edition: Edition = "current") -> list[str]:
        return [claim.key for claim in self.claims(edition)]


def mcl_inpatient(admission: int = -1, payer: str = "medicare", **changes: Any) -> Story:
    """The guide's adult with MCL, 70 kg and 1.85 m2, infused in a stay that begins `admission` days from the infusion."""
    story = Story().referral(coverage=coverage(payer), **changes)
    story.collection().release().mcl_course()
    return story.admitted(admission).infused().discharged(14).coded()


def b_all_inpatient(cyclophosphamide: tuple[int, ...] = (-2,), admission: int = -5) -> Story:
    """The guide's 28-year-old with B-ALL, admitted before lymphodepletion; commercial payer."""
    story = Story().referral(
        indication="b_all",
        diagnosis="C91.02",
        patient=patient(birth_date="1998-01-20"),
        coverage={"payer": "aetna", "member_id": "W1"},
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
