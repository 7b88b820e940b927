"""Patients of a running installation: senders that send until it is acknowledged, payers that answer what was filed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx

from intake.scenario_feeds import expand
from tests.chaos.installations import Installation
from tests.kit.feeds import SCENARIOS
from tests.kit.files import SAMPLES

Event = dict[str, Any]
ANCHOR = date(2026, 9, 14)
"""Far enough back that every part of every feed is past."""
PATIENCE = 420.0
PARTS = 4
INTERCHANGES = iter(range(700, 10**9))


class Patient(threading.Thread):
    """One patient's events and the answers to one of its claims.

    Attributes:
        sent: events that were acknowledged.
        failed: why the story did not come to its end.
    """

    def __init__(self, on: Installation, story: str, number: int) -> None:
        super().__init__(daemon=True)
        self.on, self.story, self.number = on, story, number
        self.sent = 0
        self.acknowledged: list[list[Event]] = []
        self.files: list[tuple[str, str]] = []
        on.patients.append(self)
        self.failed = ""
        self.encounter = ""
        letter = story[-1] if story.startswith("scenario") else "a"
        self.events = [dict(one) for one in expand(SCENARIOS[letter].feed, ANCHOR, suffix=f"-{number}")]
        self.subject = str(next(one["subject"] for one in self.events if one["type"] == "cart.referral.received"))

    def run(self) -> None:
        try:
            # The referral comes last and releases what waits for it: nothing is billed from half of the facts.
            others = [one for one in self.events if one["type"] != "cart.referral.received"]
            size = -(-len(others) // PARTS)
            for first in range(0, len(others), size):
                self.post(others[first : first + size])
            self.post([one for one in self.events if one["type"] == "cart.referral.received"])
            self.settled()
            STORIES.get(self.story, lambda _patient: None)(self)
            self.settled()
        except AssertionError as error:
            self.failed = str(error)

    def until(self, check: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := check()):
            assert time.monotonic() < end, f"patient {self.number}, {self.story}: never {what}"
            time.sleep(0.3)
        return found

    def post(self, events: list[Event]) -> None:
        self.until(lambda: self._acknowledged(events), "acknowledged")
        self.acknowledged.append(events)
        self.sent += len(events)

    def again(self) -> None:
        """Send again what was acknowledged, and drop again what was dropped: after a restore."""
        for events in list(self.acknowledged):
            self.until(lambda some=events: self._acknowledged(some), "acknowledged again")
        for name, text in list(self.files):
            self._drop(f"again-{name}", text)

    def _acknowledged(self, events: list[Event]) -> bool:
        try:
            answer = self.on.request("POST", "/v1/events", json=events)
        except httpx.HTTPError:
            return False
        if answer.status_code != 202:
            return False
        receipts = answer.json()["receipts"]
        bad = {one["disposition"] for one in receipts} - {"accepted", "duplicate", "quarantined"}
        assert not bad, f"patient {self.number}: receipts {sorted(bad)}"
        self.encounter = next((one["encounter_id"] for one in receipts if one["encounter_id"]), self.encounter)
        return True

    def settled(self) -> None:
        path = f"/v1/encounters/{self.subject}"
        self.until(lambda: (shown := self.on.get(path)) and shown["up_to_date"] and shown, "settled")

    def claim(self, letter: str) -> dict[str, Any]:
        answer = self.on.get(f"/v1/encounters/{self.subject}/claims") or {"claims": []}
        return next((one for one in answer["claims"] if one["letter"] == letter and one["ordinal"] == 1), {})

    def reaches(self, letter: str, state: str, version: int = 1) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            one = self.claim(letter)
            return one if one and (one["state"], one["version"]) == (state, version) else None

        found: dict[str, Any] = self.until(there, f"{letter} version {version} is {state}")
        return found

    def answer(self, claim: dict[str, Any], sample: str) -> None:
        """A payer's file, whole, in the inbox directory."""
        text = (SAMPLES / sample).read_text().replace("@CLAIM@", claim["control_number"])
        head = text[:106]
        number = head.split("*")[13]
        text = text.replace(number, f"{next(INTERCHANGES):09d}").replace("*0*T*:~", "*0*P*:~")
        text = text.replace("2260000000007", f"226{self.number:010d}")
        text = text.replace("EFT0000007", f"EFT{next(INTERCHANGES):07d}")
        name = f"{self.number}-{claim['control_number']}-{sample}"
        self.files.append((name, text))
        self._drop(name, text)

    def _drop(self, name: str, text: str) -> None:
        inbox = self.on.data / "inbox"

        def dropped() -> bool:
            try:
                inbox.mkdir(exist_ok=True, mode=0o700)
                (inbox / f".{name}").write_text(text)
                os.replace(inbox / f".{name}", inbox / name)
            except OSError:
                return False
            return True

        self.until(dropped, "the payer's file is there")

    def corrected(self, event: Event, number: int, **data: Any) -> None:
        body: dict[str, Any] = {
            "of": {"source": event["source"], "id": event["id"]},
            "reason": "wrong",
            "signer": "biller",
        }
        self.post(
            [
                {
                    "specversion": "1.0",
                    "id": f"correction-{self.number}-{number}",
                    "source": event["source"],
                    "subject": event["subject"],
                    "type": "cart.correction.made",
                    "time": datetime.now(UTC).isoformat(),
                    "data": body | data,
                }
            ]
        )

    def first(self, kind: str) -> Event:
        return next(one for one in self.events if one["type"] == kind)

    def last_charge(self) -> Event:
        charges = [e for e in self.events if e["type"] == "cart.charge.posted" and "admission_id" in e["data"]]
        return charges[-1]


def paid(patient: Patient) -> None:
    claim = patient.reaches("C", "transmitted")
    patient.answer(claim, "accepted.277ca.x12")
    patient.reaches("C", "acknowledged")
    patient.answer(claim, "paid.835.x12")
    patient.until(lambda: patient.claim("C").get("state") not in ("transmitted", "acknowledged"), "answered")


def denied(patient: Patient) -> None:
    claim = patient.reaches("C", "transmitted")
    patient.answer(claim, "denied.835.x12")
    patient.reaches("C", "denied")


def replaced(patient: Patient) -> None:
    claim = patient.reaches("C", "transmitted")
    patient.answer(claim, "accepted.277ca.x12")
    patient.reaches("C", "acknowledged")
    charge = patient.last_charge()
    patient.corrected(charge, 1, replacement={**charge["data"], "amount": "101.00"})
    patient.reaches("C", "transmitted", 2)


def rejected(patient: Patient) -> None:
    claim = patient.reaches("C", "transmitted")
    patient.answer(claim, "rejected.277ca.x12")
    patient.reaches("C", "rejected")
    referral = patient.first("cart.referral.received")
    coverage = {**referral["data"]["coverage"], "member_id": "1EG4TE5MK99"}
    patient.corrected(referral, 1, replacement={**referral["data"], "coverage": coverage})
    patient.reaches("C", "transmitted", 2)


def voided(patient: Patient) -> None:
    claim = patient.reaches("A", "transmitted")
    patient.answer(claim, "accepted.277ca.x12")
    patient.reaches("A", "acknowledged")
    patient.corrected(patient.first("cart.apheresis.completed"), 1, retract=True)
    patient.reaches("A", "voided", 2)


STORIES = {"paid": paid, "denied": denied, "replaced": replaced, "rejected": rejected, "voided": voided}
ALL_STORIES = (*(f"scenario {letter}" for letter in "abcef"), *STORIES)
"""Scenario d reports certificates of the center, which reach every patient: it runs in the first half."""
