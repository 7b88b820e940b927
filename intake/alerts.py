"""Alerts that the store itself raises: an event that contradicts an earlier one, an identifier claimed twice.

Their keys begin with `intake.`: the encounter's own decisions neither open nor resolve them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session, select

from store.opaque import new_id
from store.tables import AlertRecord

PREFIX = "intake."
OWNER = "integration"
ACKNOWLEDGE_WITHIN = timedelta(hours=4)


def conflict_key(event_id: str) -> str:
    """The dedupe key of the other bodies of an event."""
    return f"{PREFIX}event_conflict.{event_id}"


def other_patient_key(event_key: str) -> str:
    """The dedupe key of a referral that names another patient than its order's."""
    return f"{PREFIX}other_patient.{event_key[:16]}"


def event_conflict(session: Session, encounter_id: str | None, event_id: str, now: datetime) -> None:
    """The same source and id came with another body."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            encounter_id=encounter_id,
            key=conflict_key(event_id),
            kind="event_conflict",
            severity="warning",
            owner=OWNER,
            title="an event came again with other content",
            action="ask the sender which is right; send the right one as cart.correction.made or under a new id",
            citation="CloudEvents 1.0: source and id identify one event",
            rule="inbox.event_conflict",
            events=[event_id],
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def other_patient(session: Session, encounter_id: str, event_key: str, now: datetime) -> None:
    """A referral names an encounter's order and another patient: it waits in quarantine, the encounter is unchanged."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            encounter_id=encounter_id,
            key=other_patient_key(event_key),
            kind="other_patient",
            severity="critical",
            owner=OWNER,
            title="a referral for this order names another patient",
            action="compare order and record number with registration; correct the wrong one at the sender and replay it",
            citation="corrections G",
            rule="inbox.other_patient",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def alias_collision(session: Session, encounter_id: str, kind: str, key: str, cells: bool, now: datetime) -> None:
    """An identifier that another encounter has already; the first keeps it."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            encounter_id=encounter_id,
            key=f"{PREFIX}alias_collision.{kind}.{key[:16]}",
            kind="alias_collision",
            severity="critical" if cells else "warning",
            owner=OWNER,
            title=f"this {kind} identifier belongs to another encounter",
            action="compare both encounters; correct the event that carries the wrong identifier",
            citation="corrections G",
            rule="inbox.alias_collision",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def two_encounters(session: Session, encounter_id: str, now: datetime) -> None:
    """Registration merged two patients, and each has an open encounter for the product."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            encounter_id=encounter_id,
            key=f"{PREFIX}two_encounters.{encounter_id}",
            kind="two_encounters",
            severity="critical",
            owner=OWNER,
            title="registration merged two record numbers; this patient has another open encounter",
            action="decide which encounter goes on; withdraw the other, and have its events sent again with the order of "
            "the first. Until then events that name the patient alone wait in quarantine",
            citation="HL7 v2 A40; design section 4",
            rule="inbox.two_encounters",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def silence_key(feed: str) -> str:
    """The dedupe key of a feed's silence."""
    return f"{PREFIX}feed_silent.{feed}"


def feed_silent(session: Session, feed: str, now: datetime) -> None:
    """A feed that should speak is silent: bookings and admissions may be missing without anybody knowing."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            key=silence_key(feed),
            kind="feed_silent",
            severity="warning",
            owner=OWNER,
            title="a system that sends events is silent longer than it should be",
            action="ask whether the sender's interface is down; have it send again what was not acknowledged",
            citation="operations: feed health",
            rule="intake.feed_silent",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def gap_key(subscription: str) -> str:
    """The dedupe key of a gap in a subscription's notifications."""
    return f"{PREFIX}notification_gap.{subscription}"


def notification_gap(session: Session, subscription: str, now: datetime) -> None:
    """Numbers of a subscription were skipped: what they told is not known here."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            key=gap_key(subscription),
            kind="notification_gap",
            severity="warning",
            owner=OWNER,
            title="notifications of a FHIR subscription are missing",
            action="have the server send the missing event numbers again ($events of the subscription)",
            citation="FHIR Subscriptions: events since subscription start",
            rule="intake.notification_gap",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def resolve(session: Session, key: str, now: datetime) -> None:
    """End the standing alerts of a key."""
    for alert in session.exec(select(AlertRecord).where(AlertRecord.key == key, AlertRecord.state != "resolved")):
        alert.state, alert.resolved_at = "resolved", now
        session.add(alert)


def reply_file_key(name: str) -> str:
    """The dedupe key of a refused file, by the name it is kept under."""
    return f"{PREFIX}reply_file_refused.{name[:20]}"


def reply_file_refused(session: Session, name: str, reason: str, now: datetime) -> None:
    """A file of answers to claims that could not be taken in."""
    _open_once(
        session,
        AlertRecord(
            alert_id=new_id("alr"),
            encounter_id=None,
            key=reply_file_key(name),
            kind="reply_file_refused",
            severity="warning",
            owner=OWNER,
            title=f"a file of answers to claims was not taken in: {reason}",
            action="read the reason; ask its sender for it anew, or replay it once the cause is gone: put it back from the "
            "inbox's quarantine into the inbox, or replay its entry where it came over HTTP",
            citation="X12 005010X231A1, 005010X214, 005010X221A1",
            rule="inbox.reply_file_refused",
            since=now,
            opened_at=now,
            acknowledge_by=now + ACKNOWLEDGE_WITHIN,
        ),
    )


def _open_once(session: Session, alert: AlertRecord) -> None:
    known = select(AlertRecord).where(AlertRecord.key == alert.key, AlertRecord.encounter_id == alert.encounter_id)
    if session.exec(known.where(AlertRecord.state != "resolved")).first() is None:
        session.add(alert)
        session.flush()
