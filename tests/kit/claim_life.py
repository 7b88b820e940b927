"""One inpatient encounter and the life of one of its claims between sending and settlement, an hour a step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from store.tables import AlertRecord, ClaimVersion, Encounter
from tests.kit.files import SITE_FILE
from tests.kit.recorder import NOW, Recorder, feed, recorder
from tests.kit.site import live_site
from workflows.messages import ClaimFollowUp, ClaimMoment, ClaimQuestion, Question

SENT = NOW + timedelta(days=5)


Event = dict[str, Any]


class Life:
    """One inpatient encounter and the life of one of its claims, each step an hour later."""

    def __init__(self, r: Recorder, events: list[Event], encounter: str) -> None:
        self.r, self.events, self.encounter = r, events, encounter
        self.now, self.letter, self.count = SENT, "C", 0

    async def say(self, *events: Event) -> None:
        """Facts come in and are decided on; the claim is built when its intent changed, as the workflow does it."""
        await self.r.post(list(events))
        self.decide()

    def decide(self) -> None:
        self.now += timedelta(hours=1)
        with self.r.service.db.read() as session:
            upto = session.get_one(Encounter, self.encounter).next_sequence - 1
        plan = self.r.activities.plan(Question(encounter=self.encounter, up_to_sequence=upto, now=self.now))
        wanted = {intent.letter: intent.content for intent in plan.claims}
        if wanted.get(self.letter) != getattr(self, "content", None):
            self.content = wanted.get(self.letter)
            self.r.activities.build_claim(
                ClaimQuestion(
                    encounter=self.encounter, letter=self.letter, ordinal=1, up_to_sequence=upto, now=self.now
                )
            )

    def look(self, days: float = 0) -> ClaimFollowUp:
        """What the claim's workflow does each time: follow, and send what is to be sent."""
        self.now += timedelta(days=days)
        moment = ClaimMoment(encounter=self.encounter, letter=self.letter, ordinal=1, now=self.now)
        follow_up = self.r.activities.claim_life.follow_claim(moment)
        return self.r.activities.claim_life.transmit_claim(moment) if follow_up.send else follow_up

    def again(self, follow_up: ClaimFollowUp) -> None:
        """What the claim's workflow does once a void is out."""
        assert follow_up.again is not None
        self.now += timedelta(hours=1)
        self.r.activities.build_claim(
            ClaimQuestion(
                encounter=self.encounter, letter=self.letter, ordinal=1, up_to_sequence=follow_up.again, now=self.now
            )
        )

    async def answered(self, kind: str, row: ClaimVersion, source: str = "/x12/EXMACJK", **data: Any) -> ClaimFollowUp:
        self.count += 1
        body = {"kind": kind, "accepted": True} if kind != "835" else {"status": "1", "paid": "0"}
        await self.say(
            {
                "specversion": "1.0",
                "id": f"answer-{self.count:04d}",
                "source": source,
                "subject": str(row.control_number),
                "type": "cart.claim.remitted" if kind == "835" else "cart.claim.acknowledged",
                "time": (self.now + timedelta(minutes=1)).isoformat(),
                "data": {"control_number": row.control_number, **body, **data},
            }
        )
        return self.look()

    async def charged(self, amount: str) -> None:
        """A late charge: the bill changes."""
        charge = next(
            e for e in reversed(self.events) if e["type"] == "cart.charge.posted" and "admission_id" in e["data"]
        )
        await self.corrected(charge, {**charge["data"], "amount": amount})

    async def corrected(self, event: Event, replacement: Event) -> None:
        self.count += 1
        await self.say(
            {
                "specversion": "1.0",
                "id": f"correction-{self.count:04d}",
                "source": event["source"],
                "subject": event["subject"],
                "type": "cart.correction.made",
                "time": (NOW + timedelta(minutes=self.count)).isoformat(),
                "data": {
                    "of": {"source": event["source"], "id": event["id"]},
                    "reason": "entered wrongly",
                    "signer": "biller",
                    "replacement": replacement,
                },
            }
        )

    async def named(self, **coverage: str) -> None:
        """The referral with another member number, or another address (`line`)."""
        referral = next(e for e in self.events if e["type"] == "cart.referral.received")
        data = {**referral["data"]}
        if line := coverage.pop("line", None):
            data["patient"] = {**data["patient"], "address": {**data["patient"]["address"], "line": line}}
        await self.corrected(referral, {**data, "coverage": {**data["coverage"], **coverage}})

    async def moved_to_uhc(self) -> None:
        """The referral named the wrong payer: the right one's approval comes in, then its coverage."""
        for kind, data in (
            ("submitted", {"number": "AUTH-9", "submitted_on": "2026-03-01"}),
            (
                "decided",
                {"number": "AUTH-9", "decision": "approved", "valid_from": "2026-03-02", "valid_to": "2027-12-31"},
            ),
        ):
            await self.say(
                {
                    "specversion": "1.0",
                    "id": f"authorization-{kind}",
                    "source": "urn:st-mary:coordination",
                    "subject": self.events[0]["subject"],
                    "type": f"cart.authorization.{kind}",
                    "time": self.now.isoformat(),
                    "data": data,
                }
            )
        await self.named(payer="uhc", member_id="911000777")

    def rows(self) -> list[ClaimVersion]:
        query = select(ClaimVersion).where(ClaimVersion.letter == self.letter).order_by(ClaimVersion.version)  # type: ignore[arg-type]
        with self.r.service.db.read() as session:
            return list(session.exec(query))

    def story(self) -> list[tuple[str, str]]:
        return [(row.frequency, row.state) for row in self.rows()]

    def files(self) -> list[str]:
        paths = self.r.activities.claim_life.outbox.rglob("*.x12")
        texts = [path.read_text() for path in sorted(paths)]
        mine = {row.control_number for row in self.rows()}
        return [text for text in texts if text.split("CLM*")[1].split("*")[0] in mine]

    def alerts(self) -> set[str]:
        with self.r.service.db.read() as session:
            rows = session.exec(select(AlertRecord).where(AlertRecord.state != "resolved")).all()
        return {row.kind for row in rows if row.key.startswith(f"claim.{self.letter}/1.")}


@pytest.fixture
def mode() -> str:
    return "live"


@pytest.fixture
async def life(tmp_path: Path, mode: str) -> AsyncIterator[Life]:
    async with recorder(tmp_path, site=live_site(tmp_path) if mode == "live" else SITE_FILE) as r:
        events = feed("a_mcl_medicare_inpatient")
        receipts = await r.post(events)
        made = Life(r, events, receipts["receipts"][0]["encounter_id"])
        r.decide(made.encounter, NOW)
        made.decide()
        made.look()
        assert made.story() == [("1", "transmitted")]
        yield made


REJECTED = {"accepted": False, "status_codes": ["A7:562"]}
