"""The story builder: an encounter as facts. Day 0 is the infusion, hours are on the clock of the hospital.

What comes of a story is decided by the domain alone: `decide` for gates, alerts and deadlines, `claims` for the bills.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.alerts.model import Alert
from domain.billing import build_claims
from domain.billing.model import Claim
from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.encounter.model import Hold
from domain.encounter.record import Record
from domain.events import HOLDER_TYPES, EventData, parse_data
from domain.rulebook import Rulebook
from domain.rulebook.rows import Edition
from domain.site import Site
from tests.kit.patient import coverage, referral
from tests.kit.rules import rulebook
from tests.kit.site import site

ZONE = ZoneInfo("America/New_York")
DAY0 = date(2026, 6, 1)
NDC, LOT, BAG, COI, DIN, Q_CODE = "71287-219-01", "KTA0001", "BAG-1", "COI-1", "DIN-1", "Q2053"


@dataclass
class Story:
    """Facts that are reported one after the other, each received at its own time unless `received` names another day."""

    day0: date = DAY0
    facts: list[Fact[EventData]] = field(default_factory=list)
    holders: list[Fact[EventData]] = field(default_factory=list)
    site: Site = field(default_factory=site)
    edition: Edition = "current"
    shared: frozenset[tuple[str, str]] = frozenset()
    count: int = 0

    def at(self, day: int, hour: int = 9, minute: int = 0) -> datetime:
        on = self.day0 + timedelta(days=day)
        return datetime(on.year, on.month, on.day, hour, minute, tzinfo=ZONE)

    def on(self, day: int) -> str:
        return (self.day0 + timedelta(days=day)).isoformat()

    def report(
        self, day: int, type_: str, data: dict[str, Any], *, hour: int = 9, minute: int = 0, received: int | None = None
    ) -> str:
        """Add a fact; returns its event id."""
        moment = self.at(day, hour, minute)
        return self.report_at(moment, type_, data, moment if received is None else self.at(received, hour, minute))

    def report_at(self, moment: datetime, type_: str, data: dict[str, Any], received: datetime | None = None) -> str:
        """Add a fact of any moment; returns its event id."""
        number, self.count = self.count, self.count + 1
        fact = Fact(
            f"ev{number:03d}", "urn:test", f"id{number:03d}", moment, received or moment, parse_data(type_, plain(data))
        )
        (self.holders if type_ in HOLDER_TYPES else self.facts).append(fact)
        return fact.event_id

    def record(self) -> Record:
        return Record(fold(self.facts))

    def claims(self, edition: Edition | None = None, rules: Rulebook | None = None) -> tuple[Claim, ...]:
        return build_claims(self.record(), self.site, rules or rulebook(edition or self.edition))

    def claim(self, key: str, edition: Edition | None = None) -> Claim:
        return next(claim for claim in self.claims(edition) if claim.key == key)

    def claim_keys(self, edition: Edition | None = None) -> list[str]:
        return [claim.key for claim in self.claims(edition)]

    def decide(self, day: int, hour: int = 23) -> Decision:
        """What should be, at a moment."""
        facts, rules = fold(self.facts), rulebook(self.edition)
        return decide(facts, self.site, rules, self.at(day, hour), self.holders, self.shared)

    def refer(self, day: int = -45, **changes: Any) -> str:
        evidence = changes.pop("evidence", None)
        data = {
            "prior_therapies": [
                {"regimen": "first", "line": 1, "class": "chemoimmunotherapy", "stop_reason": "progression"}
            ],
            "evidence": self.documents(day - 2) if evidence is None else evidence,
        }
        return self.report(day, "cart.referral.received", referral(**(data | changes)))

    def documents(self, day: int, *without: str) -> list[dict[str, Any]]:
        """Every document of the gate for mantle cell lymphoma, all in favor."""
        values: dict[str, dict[str, Any] | None] = {
            "pathology": {"cd19_positive": True, "relapsed_or_refractory": True},
            "prior_therapy_log": None,
            "ecog": {"score": 1},
            "cns_status": {"status": 1},
            "lvef": {"percent": 60},
            "pulmonary_function": {"adequate": True},
            "organ_function": {"adequate": True},
            "autoimmune": {"active": False},
            "imaging": None,
            "tumour_burden": {"level": "low"},
            "btk_inhibitor": {
                "agent": "ibrutinib",
                "started": "2025-01-01",
                "stopped": "2026-01-01",
                "reason": "progression",
            },
        }
        return [self.document(day, kind, found) for kind, found in values.items() if kind not in without]

    def document(self, day: int, kind: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        base = {"kind": kind, "document": f"DOC-{kind}", "dated": self.on(day)}
        return base if values is None else base | {"values": values}

    def add(self, day: int, kind: str, values: dict[str, Any] | None = None) -> str:
        return self.report(day, "cart.evidence.added", self.document(day, kind, values))

    def authorize(self, day: int, first: int, last: int, number: str = "AUTH-1", **changes: Any) -> str:
        data = {"number": number, "decision": "approved", "valid_from": self.on(first), "valid_to": self.on(last)}
        return self.report(day, "cart.authorization.decided", data | changes)

    def book(self, stage: str, day: int, reported: int, facility: str = "st_mary", setting: str = "outpatient") -> str:
        data = {
            "appointment_id": f"APT-{stage}-{reported}-{day}",
            "stage": stage,
            "facility": facility,
            "setting": setting,
        }
        return self.report(reported, "cart.appointment.booked", data | {"starts_at": self.at(day, 9).isoformat()})

    def collect(self, day: int = -24, ordinal: int = 1, coi: str = COI, **changes: Any) -> str:
        data = {
            "facility": "st_mary",
            "setting": "outpatient",
            "coi_id": coi,
            "din": DIN,
            "collection_ordinal": ordinal,
            "started_at": self.at(day, 9).isoformat(),
            "ended_at": self.at(day, 13).isoformat(),
            "access": "peripheral",
        }
        return self.report(day, "cart.apheresis.completed", data | changes, hour=13)

    def transfer(self, day: int, step: str, hour: int = 12, minute: int = 0, **changes: Any) -> str:
        moment = self.at(day, hour, minute).isoformat()
        data = {"step": step, "coi_id": COI, "at": moment, "by": "staff-1", "location": "laboratory"}
        return self.report(day, "cart.custody.recorded", data | changes, hour=hour, minute=minute)

    def release(self, day: int = -8, bag: str = BAG, **changes: Any) -> str:
        data = {
            "coi_id": COI,
            "bag_id": bag,
            "lot": LOT,
            "ndc": NDC,
            "viable_car_cells": 140_000_000,
            "expires_on": self.on(300),
            "certificate": "COA-1",
            "released_at": self.at(day, 10).isoformat(),
        }
        return self.report(day, "cart.product.released", data | changes, hour=10)

    def receive(self, day: int = -6, bag: str = BAG, **changes: Any) -> str:
        data = {"bag_id": bag, "lot": LOT, "ndc": NDC, "seal_intact": True, "accepted": True}
        return self.transfer(day, "site_receipt", **(data | changes))

    def on_the_way(self) -> None:
        """The transfers between collection and receipt that a payer's timeline requires (G437)."""
        self.transfer(-24, "courier_pickup", hour=16)
        self.transfer(-23, "manufacturing_start")
        self.transfer(-7, "shipped", bag_id=BAG, lot=LOT)

    def dose(self, day: int, drug: str, mg: float | str, **changes: Any) -> str:
        data = {
            "drug": drug,
            "date": self.on(day),
            "dose_mg": mg,
            "wasted_mg": 0,
            "ndc": "63323-192-02" if drug == "fludarabine" else "10019-956-01",
            "started_at": self.at(day, 10).isoformat(),
            "ended_at": self.at(day, 11).isoformat(),
            "route": "iv_infusion",
            "setting": "outpatient",
            "facility": "st_mary",
            "acquired_340b": False,
        }
        return self.report(day, "cart.lymphodepletion.administered", data | changes, hour=11)

    def deplete(self, first: int = -5) -> None:
        for day in range(first, first + 3):
            self.dose(day, "fludarabine", 55.5)
            self.dose(day, "cyclophosphamide", 925)

    def admit(self, day: int = -1, stay: str = "ADM-1", hour: int = 14, **changes: Any) -> str:
        data = {"admission_id": stay, "facility": "st_mary", "at": self.at(day, hour).isoformat(), "class": "inpatient"}
        return self.report(day, "cart.admission.started", data | changes, hour=hour)

    def discharge(self, day: int, stay: str = "ADM-1", status: str = "01", hour: int = 10) -> str:
        data = {"admission_id": stay, "at": self.at(day, hour).isoformat(), "discharge_status": status}
        return self.report(day, "cart.admission.ended", data, hour=hour)

    def code(self, day: int, stay: str = "ADM-1", **changes: Any) -> str:
        data = {
            "admission_id": stay,
            "principal_diagnosis": "C83.18",
            "principal_poa": "Y",
            "procedures": [{"code": "XW033M7", "date": self.on(0)}],
        }
        return self.report(day, "cart.coding.completed", data | changes)

    def infuse(
        self, day: int = 0, what: str = "completed", bag: str = BAG, hour: int = 10, minute: int = 30, **changes: Any
    ) -> str:
        label = {"coi_id": COI, "hcpcs": Q_CODE, "ndc": NDC, "lot": LOT} | changes.pop("label", {})
        data = {
            "bag_id": bag,
            "facility": "st_mary",
            "setting": "inpatient",
            "at": self.at(day, hour, minute).isoformat(),
            "access": "peripheral",
            "label": label,
            "cells_infused": 140_000_000,
            "verified_by": ["nurse-1", "nurse-2"],
        }
        return self.report(day, f"cart.infusion.{what}", data | changes, hour=hour, minute=minute)

    def assess(self, day: int, crs: int | None = 0, icans: int | None = 0, hour: int = 8, **changes: Any) -> str:
        data = {
            "at": self.at(day, hour).isoformat(),
            "crs_grade": crs,
            "icans_grade": icans,
            "scale": "astct_2019",
            "assessor_role": "physician",
        }
        return self.report(day, "cart.toxicity.assessed", data | changes, hour=hour)

    def withdraw(self, day: int, reason: str = "choice") -> str:
        return self.report(day, "cart.encounter.withdrawn", {"reason": reason, "at": self.at(day, 9).isoformat()})

    def certify(self, day: int, layer: str, holder: str, first: str, last: str | None, **changes: Any) -> str:
        data = {"layer": layer, "holder": holder, "product": "tecartus", "status": "active", "valid_from": first}
        return self.report(day, "cart.certification.changed", data | {"valid_to": last} | changes)

    def override(self, day: int, hold: str, expires: int) -> str:
        data = {"hold": hold, "reason": "reviewed", "role": "medical director", "signer": "staff-9"}
        return self.report(day, "cart.hold.overridden", data | {"expires": self.at(expires, 9).isoformat()}, hour=12)


def until_collected(payer: str = "medicare", **changes: Any) -> Story:
    """A cleared patient whose cells were collected on day -24."""
    story = Story()
    story.refer(coverage=coverage(payer), **changes)
    if payer != "medicare":
        story.authorize(-42, -42, 40)
    story.book("apheresis", -24, -40)
    story.collect()
    return story


def until_received(payer: str = "medicare", **changes: Any) -> Story:
    """The product was released on day -8 and accepted at the center on day -6."""
    story = until_collected(payer, **changes)
    story.release()
    story.receive()
    return story


def until_infused(payer: str = "medicare", **changes: Any) -> Story:
    """Lymphodepletion on the label's days, admitted on day -1, infused on day 0."""
    story = until_received(payer, **changes)
    story.on_the_way()
    story.deplete()
    story.admit()
    story.infuse()
    return story


def whole(payer: str = "medicare") -> Story:
    """An uneventful encounter, assessed daily, discharged on day 12 and coded."""
    story = until_infused(payer)
    for day in range(1, 12):
        story.assess(day)
    story.discharge(12)
    story.code(13)
    return story


def holds(decision: Decision) -> dict[str, Hold]:
    return {hold.id: hold for hold in decision.holds}


def kinds(decision: Decision) -> dict[str, Alert]:
    return {alert.kind: alert for alert in decision.alerts}


def plain(value: Any) -> Any:
    """JSON of a datum as a feed sends it."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [plain(item) for item in value]
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
    return value
