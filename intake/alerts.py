"""Alerts of the intake: an event that contradicts an earlier one, an identifier used twice, a silent feed.

Keys of these alerts begin with `intake.`: decisions of encounters neither open nor resolve them.
"""

from __future__ import annotations

from domain.alerts.model import Finding, Severity

SCOPE = "intake"


def event_conflict(event_id: str) -> Finding:
    """An event ID was reused with different content."""
    return Finding("event_conflict", event_id, (event_id,), scope=SCOPE)


def other_patient(event_key: str) -> Finding:
    """A referral with an encounter's order and another patient is in quarantine; the encounter is unchanged."""
    return Finding("other_patient", event_key[:16], scope=SCOPE)


def alias_collision(kind: str, key: str, cells: bool) -> Finding:
    """An identifier that another encounter has already; the first keeps it. For `cells` it is critical."""
    return Finding(
        "alias_collision",
        f"{kind}.{key[:16]}",
        detail=f"type of identifier: {kind.replace('_', ' ')}",
        severity=Severity.CRITICAL if cells else None,
        scope=SCOPE,
    )


def two_encounters(encounter_id: str) -> Finding:
    """Registration merged two patients, and each has an open encounter for the product."""
    return Finding("two_encounters", encounter_id, scope=SCOPE)


def feed_silent(feed: str) -> Finding:
    """No message from a feed for longer than configured: bookings and admissions may be missing."""
    return Finding("feed_silent", feed, detail=f"feed {feed}", scope=SCOPE)


def notification_gap(subscription: str) -> Finding:
    """Notification numbers of a subscription were skipped: their notifications are missing."""
    return Finding("notification_gap", subscription, scope=SCOPE)


def reply_file_refused(name: str, reason: str = "") -> Finding:
    """A payer response file that could not be imported, by the name it is kept under."""
    return Finding("reply_file_refused", name[:20], detail=reason, scope=SCOPE)
