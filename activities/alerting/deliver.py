"""Deliver messages about alerts to signed webhooks and Alertmanager: retried, then kept as dead letters, never lost.

A receiver may get a message twice when its answer was lost: `webhook-id` is the same, and Alertmanager counts it once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

import httpx
from prometheus_client import Counter as Metric

from activities.alerting import signing
from activities.alerting.destinations import EXPIRES_AFTER, Destination, Destinations
from store import alert_deliveries
from store.engine import Database
from store.tables import AlertDelivery, AlertRecord

TRIES = Metric("cart_alert_delivery_tries_total", "Attempts to deliver an alert message.", ["destination", "outcome"])

FIRST_PAUSE: Final = timedelta(seconds=15)
LONGEST_PAUSE: Final = timedelta(minutes=15)
FOR_GOOD: Final = frozenset({400, 404, 405, 410, 413, 415, 422})
"""Statuses that no retry changes: the message becomes a dead letter at once."""

TIMEOUT_SECONDS: Final = 10.0
"""The limit for one complete try: a receiver that answers slowly must not block a thread."""

BUDGET_SECONDS: Final = 120.0
PATHS: Final[Mapping[str, str]] = {"alertmanager": "/api/v2/alerts"}
OURS: Final = frozenset({"key", "events", "acknowledged_note", "told_state", "told_severity", "told_escalations"})
"""The fields of an alert that are not sent."""


class NotDelivered(Exception):
    """The destination did not accept the message; `for_good` when a retry cannot help."""

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


def deliver(db: Database, destinations: Destinations, now: datetime) -> int:
    """Try every message that is due; return how many were delivered or refused for good.

    A destination that fails does not delay others, and a message that fails does not delay the rest: those with fewer tries
    come first.
    """
    by_name = {each.name: each for each in destinations.destinations}
    until, delivered = monotonic() + BUDGET_SECONDS, 0
    with db.read() as session:
        due = alert_deliveries.due(session, now)
    for name, waiting in due.items():
        for delivery_id in waiting:
            if name not in by_name or monotonic() > until:
                break
            if not _try(db, destinations, by_name[name], delivery_id, now):
                _postpone(db, waiting, delivery_id)
                break
            delivered += 1
    return delivered


def _try(db: Database, every: Destinations, destination: Destination, delivery_id: str, now: datetime) -> bool:
    """Return False when the destination itself seems to be unavailable."""
    with db.read() as session:
        message, alerts = alert_deliveries.message(session, delivery_id)
    try:
        _send(every, destination, message, alerts, now)
        failure = None
    except NotDelivered as error:
        failure = error
    with db.write() as session:
        row = alert_deliveries.waiting(session, delivery_id)
        if row is not None:
            _note(row, destination, failure, now)
            TRIES.labels(destination=destination.name, outcome="delivered" if failure is None else row.state).inc()
    return failure is None or failure.for_good


def _note(row: AlertDelivery, destination: Destination, failure: NotDelivered | None, now: datetime) -> None:
    row.attempts += 1
    if failure is None:
        row.state, row.delivered_at, row.last_error = "delivered", now, ""
        return
    row.last_error = str(failure)
    too_old = now - row.created_at >= timedelta(hours=destination.give_up_hours)
    if failure.for_good or too_old:
        row.state = "dead"
    else:
        row.next_attempt_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(row.attempts - 1, 10))


def _postpone(db: Database, waiting: Sequence[str], tried: str) -> None:
    """Postpone the other messages of an unavailable destination as long as the one that was tried; this counts as no try."""
    with db.write() as session:
        first = session.get(AlertDelivery, tried)
        for delivery_id in waiting[waiting.index(tried) + 1 :] if first is not None else ():
            row = alert_deliveries.waiting(session, delivery_id)
            if first is not None and row is not None:
                row.next_attempt_at = max(first.next_attempt_at, row.next_attempt_at)
                row.last_error = first.last_error


def _send(
    every: Destinations,
    destination: Destination,
    message: AlertDelivery,
    alerts: Sequence[AlertRecord],
    now: datetime,
) -> None:
    body = for_alertmanager(every, alerts, now) if destination.repeats else for_webhook(every, message, alerts)
    content = json.dumps(body, separators=(",", ":")).encode()
    headers = {"content-type": "application/json"}
    if destination.secret is not None:
        stamp = str(int(now.timestamp()))
        headers |= {signing.ID: message.delivery_id, signing.TIMESTAMP: stamp}
        headers[signing.SIGNATURE] = signing.signature(destination.secret, message.delivery_id, stamp, content)
    if destination.bearer is not None:
        headers["authorization"] = f"Bearer {destination.bearer}"
    url = str(destination.url).rstrip("/") + PATHS.get(destination.kind, "")
    try:
        status = asyncio.run(_posted(url, content, headers))
    except (httpx.HTTPError, TimeoutError) as error:
        raise NotDelivered(f"no answer: {type(error).__name__}") from None
    if not httpx.codes.is_success(status):
        raise NotDelivered(f"answered {status}", status in FOR_GOOD)


async def _posted(url: str, content: bytes, headers: Mapping[str, str]) -> int:
    """Return the status of the answer. Its body is not read: it is not used, and it may have no end."""
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client,
        client.stream("POST", url, content=content, headers=headers) as answer,
    ):
        return answer.status_code


def for_webhook(every: Destinations, message: AlertDelivery, alerts: Sequence[AlertRecord]) -> dict[str, Any]:
    """Return the body of a webhook: the change, its cause, and each alert in its current state. No identifier of a person."""
    return {
        "id": message.delivery_id,
        "change": message.change,
        "cause": message.cause,
        "created_at": message.created_at.isoformat(),
        "alerts": [_plain(alert) | {"link": every.link(alert.encounter_id)} for alert in alerts],
    }


def _plain(alert: AlertRecord) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(alert.model_dump_json(exclude=set(OURS)))
    return plain


def for_alertmanager(every: Destinations, alerts: Sequence[AlertRecord], now: datetime) -> list[dict[str, Any]]:
    """Return the body for Alertmanager's API: one alert for each, with the same labels from opening to end."""
    return [_labeled(every, alert, now) for alert in alerts]


def _labeled(every: Destinations, alert: AlertRecord, now: datetime) -> dict[str, Any]:
    link = every.link(alert.encounter_id)
    return {
        "labels": {
            "alertname": "CartEncounterAlert",
            "alert": alert.alert_id,
            "kind": alert.kind,
            "layer": alert.layer or "",
            "owner": alert.owner,
            "severity": _route(alert),
        },
        "annotations": {
            "summary": alert.title,
            "next_step": alert.action,
            "citation": alert.citation,
            "state": alert.state,
            "escalations": str(alert.escalations),
            "encounter": alert.encounter_id or "",
            "runbook": "deploy/runbooks/CartEncounterAlert.md",
        },
        "startsAt": min(alert.opened_at, now).isoformat(),
        "endsAt": (
            min(alert.resolved_at or now, now) if alert.state == "resolved" else now + EXPIRES_AFTER
        ).isoformat(),
        **({"generatorURL": link} if link else {}),
    }


def _route(alert: AlertRecord) -> str:
    """Return the route; `page` calls a person now, for critical alerts not acknowledged. A new route is a new alert there."""
    return "page" if alert.severity == "critical" else "ticket"
