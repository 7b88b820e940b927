"""The activities of a claim's life after its emission. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client import Counter as Metric
from sqlmodel import Session, col, select
from temporalio import activity

from activities.alerts import reconcile_alerts
from activities.claim_files import claim_of
from activities.claims import current, versions_of
from activities.mind import Mind
from activities.store.keys import Keyring
from activities.store.tables import ClaimVersion, Encounter, EncounterEvent, Transmission
from activities.transmission import payer_named, replies_of, transmit
from domain.claims.expected import expected
from domain.claims.lifecycle import ORIGINAL, Bill, Standing, State, standing
from domain.claims.reply import Reply
from domain.events.governance import CorrectionMade
from domain.events.revenue import ClaimAcknowledged, ClaimRemitted
from domain.plan import ClaimMoment, ClaimStanding

TRANSMITTED = Metric("cart_claims_transmitted_total", "Claim files that went to the outbox, by letter.", ["letter"])
UNSENDABLE = Metric(
    "cart_claims_unsendable_total", "Tries to transmit a claim that could not be, by letter.", ["letter"]
)
REPLY_TYPES = (ClaimAcknowledged.event_type, ClaimRemitted.event_type)
BUILT = (State.HELD, State.WITHDRAWN)


class ClaimLife:
    """What `ClaimLifecycle` can have done besides building."""

    def __init__(self, mind: Mind, outbox: Path) -> None:
        self.mind, self.outbox = mind, outbox

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.follow_claim, self.transmit_claim]

    @activity.defn(name="follow_claim")
    def follow_claim(self, moment: ClaimMoment) -> ClaimStanding:
        return self._follow(moment, None)

    @activity.defn(name="transmit_claim")
    def transmit_claim(self, moment: ClaimMoment) -> ClaimStanding:
        """Send the version that counts now, if its time has come; says how the claim stands then."""
        with self.mind.db.read() as session:
            row = current(versions_of(session, moment.encounter, moment.letter, moment.ordinal))
            if row is None or not self._goes_out(session, row, moment.now):
                row = None
        if row is None:
            return self._follow(moment, None)
        key = (row.encounter_id, row.letter, row.ordinal, row.version)
        sent = transmit(self.mind.db, self.mind.keys, self.mind.shelf, self.outbox, key, moment.now)
        if sent.interchange is not None:
            TRANSMITTED.labels(letter=row.letter).inc()
        elif sent.obstacle is not None:
            UNSENDABLE.labels(letter=row.letter).inc()
        return self._follow(moment, sent.obstacle)

    def _follow(self, moment: ClaimMoment, obstacle: str | None) -> ClaimStanding:
        with self.mind.db.write() as session:
            session.get_one(Encounter, moment.encounter, with_for_update=True)
            row = current(versions_of(session, moment.encounter, moment.letter, moment.ordinal))
            if row is None:
                return ClaimStanding(state=State.WITHDRAWN, version=0, settled=True)
            judged = self._judge(session, row, moment.now, obstacle)
            _keep(session, row, judged)
            prefix = f"claim.{moment.letter}/{moment.ordinal}."
            reconcile_alerts(session, moment.encounter, judged.alerts, moment.now, prefix)
            return _told(row, judged)

    def _goes_out(self, session: Session, row: ClaimVersion, now: datetime) -> bool:
        """Its hold is over, or it has its number and no file yet."""
        sent = session.get(Transmission, (row.encounter_id, row.letter, row.ordinal, row.version))
        return sent.written_at is None if sent else self._judge(session, row, now, None).send

    def _judge(self, session: Session, row: ClaimVersion, now: datetime, obstacle: str | None) -> Standing:
        rules, site = self.mind.shelf.rules(), self.mind.shelf.site()
        claim = claim_of(row)
        facility = site.facility(claim.facility)
        heard = replies_of(session, self.mind.keys, row.encounter_id)
        sent = session.get(Transmission, (row.encounter_id, row.letter, row.ordinal, row.version))
        due = expected(claim, rules, site)
        unnamed = row.frequency != ORIGINAL and payer_named(session, self.mind.keys, row) is None
        bill = Bill(
            key=f"{row.letter}/{row.ordinal}",
            built=State(row.state) if row.state in BUILT else State.EMITTED,
            frequency=row.frequency,
            payer=row.payer,
            total=row.total,
            through=claim.statement_through,
            zone=facility.zone if facility else ZoneInfo("UTC"),
            emitted_at=row.emitted_at,
            sent_at=sent.created_at if sent else None,
            expected=due.amount if due else None,
            number_needed=unnamed,
            obstacle=obstacle,
        )
        mine = [reply for reply in heard if reply.control == row.control_number]
        return standing(bill, mine, rules, site.bill_hold_days, now)


def _keep(session: Session, row: ClaimVersion, judged: Standing) -> None:
    """What the reading side and the worklists show of it."""
    paid = judged.remittance
    row.state = judged.state.value
    row.standing = {
        "state": judged.state.value,
        "remitted_at": paid.last.isoformat() if paid.last else None,
        "paid": str(paid.paid) if paid.count else None,
        "patient_responsibility": str(paid.patient) if paid.count else None,
        "refused": str(paid.refused) if paid.count else None,
        "shortfall": str(judged.shortfall) if judged.shortfall is not None else None,
        "appeal_by": judged.appeal_by.isoformat() if judged.appeal_by else None,
        "file_by": judged.file_by.isoformat() if judged.file_by else None,
        "next": judged.next.title if judged.next else None,
        "next_due": judged.next.due.isoformat() if judged.next else None,
    }
    session.add(row)


def _told(row: ClaimVersion, judged: Standing) -> ClaimStanding:
    upcoming = judged.next
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimStanding(
        state=judged.state.value,
        version=row.version,
        send=judged.send,
        due=upcoming.due if upcoming else None,
        due_title=upcoming.title if upcoming else None,
        settled=judged.settled,
        alerts=tuple(alert.title for alert in judged.alerts),
        errors=errors,
    )


def reply_marks(session: Session, keys: Keyring, encounter: str, up_to_sequence: int) -> dict[str, str]:
    """A hash of the replies to each claim of an encounter, by claim key: it changes when a reply comes or is corrected.

    Beside the content of the claim it tells the encounter's workflow to wake the claim's.
    """
    types = set(
        session.exec(
            select(EncounterEvent.type)
            .where(
                EncounterEvent.encounter_id == encounter,
                EncounterEvent.sequence <= up_to_sequence,
                col(EncounterEvent.type).in_((*REPLY_TYPES, CorrectionMade.event_type)),
            )
            .distinct()
        )
    )
    if types.isdisjoint(REPLY_TYPES):
        return {}
    heard = replies_of(session, keys, encounter)
    rows = session.exec(select(ClaimVersion).where(ClaimVersion.encounter_id == encounter)).all()
    claims = {row.control_number: f"{row.letter}/{row.ordinal}" for row in rows if row.control_number}
    by_claim: dict[str, list[Reply]] = {}
    for reply in heard:
        if reply.control in claims:
            by_claim.setdefault(claims[reply.control], []).append(reply)
    return {claim: _mark(mine) for claim, mine in by_claim.items()}


def _mark(heard: Sequence[Reply]) -> str:
    return hashlib.sha256(repr(heard).encode()).hexdigest()
