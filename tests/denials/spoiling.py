"""The six encounters, each changed so that a denial of the guide would follow, and corrected again by events."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.events import HOLDER_TYPES
from tests.kit.feeds import Event, events_of

Change = Callable[[list[Event]], list[Event]]


def name(event: Event) -> str:
    """The id of an event inside its feed."""
    return str(event["id"]).rsplit("/", 1)[1]


@dataclass(frozen=True)
class Spoiled:
    """One way to earn a denial.

    Attributes:
        number: the denial of the guide (G432-443).
        rule: the id of the hold that stops it, or the edit of the claim.
        held: the claims that are held when all of it was performed and posted all the same.
        fix: words of the guide's fix that the hold must show.
        before: the first event of the stage whose gate it closes; None where the claim itself is stopped.
    """

    what: str
    number: int
    feed: str
    change: Change
    rule: str
    held: frozenset[str]
    fix: tuple[str, ...]
    before: str | None = None

    def events(self) -> list[Event]:
        return self.change(copy.deepcopy(events_of(self.feed)))


def without_document(*kinds: str) -> Change:
    """Leave out evidence, in the referral and in later events."""

    def change(found: list[Event]) -> list[Event]:
        for event in found:
            if event["type"] == "cart.referral.received":
                event["data"]["evidence"] = [p for p in event["data"]["evidence"] if p["kind"] not in kinds]
        return [e for e in found if e["type"] != "cart.evidence.added" or e["data"]["kind"] not in kinds]

    return change


def without(*ids: str) -> Change:
    """Leave out events of a type."""
    return lambda found: [event for event in found if name(event) not in ids]


def with_data(type_: str, **data: Any) -> Change:
    """Fields of every event of a type."""

    def change(found: list[Event]) -> list[Event]:
        for event in found:
            if event["type"] == type_:
                event["data"] |= copy.deepcopy(data)
        return found

    return change


def written(old: str, new: str, *types: str) -> Change:
    """Replace a text in the data of some types of event, or of all."""

    def change(found: list[Event]) -> list[Event]:
        for event in found:
            if not types or event["type"] in types:
                event["data"] = json.loads(json.dumps(event["data"]).replace(old, new))
        return found

    return change


def all_of(*changes: Change) -> Change:
    def change(found: list[Event]) -> list[Event]:
        for one in changes:
            found = one(found)
        return found

    return change


def unexplained(therapy_class: str) -> Change:
    """Lines of the therapy log without their end and its reason."""

    def change(found: list[Event]) -> list[Event]:
        for event in found:
            for therapy in event["data"].get("prior_therapies", ()):
                if therapy["class"] == therapy_class:
                    del therapy["stopped"], therapy["stop_reason"]
        return found

    return change


def enrolled(product: str, npi: str) -> Change:
    """A report that a prescriber is enrolled for a product."""
    body = {"layer": "rems_prescriber", "product": product, "holder": npi, "status": "active"}

    def change(found: list[Event]) -> list[Event]:
        first = found[0]
        return [
            {
                **first,
                "id": f"{first['id']}/enrolled",
                "subject": npi,
                "type": "cart.certification.changed",
                "data": {**body, "valid_from": "2020-01-01"},
            },
            *found,
        ]

    return change


def doses(**milligrams: float) -> Change:
    """Other milligrams charted for a drug."""

    def change(found: list[Event]) -> list[Event]:
        for event in found:
            if event["type"] == "cart.lymphodepletion.administered" and event["data"]["drug"] in milligrams:
                event["data"] |= {"dose_mg": milligrams[event["data"]["drug"]], "wasted_mg": 0}
        return found

    return change


def outpatient_infusion(found: list[Event]) -> list[Event]:
    """The whole encounter without a bed: no admission, no room, the infusion coded as an outpatient service."""
    bed = ("cart.admission.started", "cart.admission.ended", "cart.charge.posted")
    kept = [event for event in found if event["type"] not in bed]
    for event in kept:
        data = event["data"]
        data.pop("admission_id", None)
        if data.get("setting") == "inpatient":
            data["setting"] = "outpatient"
        if event["type"] == "cart.referral.received":
            data["planned_setting"] = "outpatient"
        if event["type"] == "cart.coding.completed":
            data |= {"claim": "C", "ordinal": 1, "procedures": []}
            data["other_diagnoses"] = [{"code": one["code"]} for one in data["other_diagnoses"]]
            data.pop("admitting_diagnosis", None)
            data.pop("principal_poa", None)
    return kept


def corrections(spoiled: Iterable[Event], right: Iterable[Event]) -> list[Event]:
    """The events that correct a changed feed: missing events are sent, wrong ones corrected or retracted."""
    own = [event for event in spoiled if event["type"] not in HOLDER_TYPES]
    was, wanted = {event["id"]: event for event in own}, {event["id"]: event for event in right}
    sent = [event for key, event in wanted.items() if key not in was]
    wrong = [key for key, event in was.items() if key not in wanted or wanted[key]["data"] != event["data"]]
    return sent + [_correction(was[key], wanted[key]["data"] if key in wanted else None) for key in wrong]


def _correction(event: Event, replacement: dict[str, Any] | None) -> Event:
    body: dict[str, Any] = {
        "of": {"source": event["source"], "id": event["id"]},
        "reason": "charted wrongly",
        "signer": "staff-integrity-1",
    }
    body |= {"retract": True} if replacement is None else {"replacement": replacement}
    later = datetime.fromisoformat(event["time"]) + timedelta(minutes=5)
    kept = {key: event[key] for key in ("specversion", "source", "subject", "datacontenttype")}
    return {
        **kept,
        "id": f"{event['id']}/right",
        "type": "cart.correction.made",
        "time": later.isoformat(),
        "data": body,
    }
