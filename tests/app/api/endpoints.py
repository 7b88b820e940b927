"""Every endpoint with the right it asks for, and a signed webhook of a sender."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from app.api.roles import Right
from tests.kit import events as e

SECRET = b"a secret of the tests, long enough"


REFERRAL = json.dumps(e.referral()).encode()


ENDPOINTS: dict[tuple[str, str], Right] = {
    ("POST", "/v1/events"): Right.SEND_EVENTS,
    ("POST", "/v1/fhir"): Right.SEND_EVENTS,
    ("PUT", "/v1/fhir/{type}/{id}"): Right.SEND_EVENTS,
    ("DELETE", "/v1/fhir/{type}/{id}"): Right.SEND_EVENTS,
    ("POST", "/v1/preflight"): Right.PREFLIGHT,
    ("GET", "/v1/encounters"): Right.READ_ENCOUNTERS,
    ("GET", "/v1/encounters/{ref}"): Right.READ_ENCOUNTERS,
    ("GET", "/v1/encounters/{ref}/holds"): Right.READ_ENCOUNTERS,
    ("GET", "/v1/encounters/{ref}/explain"): Right.READ_ENCOUNTERS,
    ("GET", "/v1/encounters/{ref}/timeline"): Right.READ_TIMELINE,
    ("GET", "/v1/encounters/{ref}/claims"): Right.READ_CLAIMS,
    ("GET", "/v1/encounters/{ref}/claims/{letter}"): Right.READ_CLAIMS,
    ("GET", "/v1/encounters/{ref}/claims/{letter}/{ordinal}"): Right.READ_CLAIMS,
    ("GET", "/v1/encounters/{ref}/packet"): Right.MAKE_PACKETS,
    ("GET", "/v1/encounters/{ref}/claims/{letter}/{ordinal}/packet"): Right.MAKE_PACKETS,
    ("GET", "/v1/encounters/{ref}/alerts"): Right.READ_ALERTS,
    ("GET", "/v1/worklists/{name}"): Right.READ_CLAIMS,
    ("GET", "/v1/alerts"): Right.READ_ALERTS,
    ("GET", "/v1/alerts/causes"): Right.READ_ALERTS,
    ("GET", "/v1/alerts/deliveries"): Right.READ_ALERTS,
    ("POST", "/v1/alerts/deliveries/{delivery_id}/retry"): Right.ACKNOWLEDGE_ALERTS,
    ("POST", "/v1/alerts/{alert_id}/acknowledge"): Right.ACKNOWLEDGE_ALERTS,
    ("GET", "/v1/quarantine"): Right.READ_QUARANTINE,
    ("POST", "/v1/quarantine/{quarantine_id}/replay"): Right.REPLAY_QUARANTINE,
    ("POST", "/v1/quarantine/{quarantine_id}/close"): Right.REPLAY_QUARANTINE,
    ("GET", "/v1/audit"): Right.READ_AUDIT,
    ("GET", "/v1/emergency-access"): Right.READ_AUDIT,
    ("POST", "/v1/emergency-access/{access_id}/review"): Right.READ_AUDIT,
    ("POST", "/v1/encounters/{ref}/emergency-access"): Right.EMERGENCY_ACCESS,
    (
        "POST",
        "/v1/replies",
    ): Right.SEND_EVENTS,  # last, with the line before: they open alerts, which the lists would show
}


IN_EMERGENCY = {
    path
    for (method, path), right in ENDPOINTS.items()
    if method == "GET"
    and path.startswith("/v1/encounters/{ref}")
    and right in (Right.READ_ENCOUNTERS, Right.READ_TIMELINE, Right.READ_CLAIMS, Right.READ_ALERTS)
}
"""What emergency access opens: reads of one encounter, and nothing else."""


OPEN = {("GET", path) for path in ("/healthz", "/livez", "/startupz", "/readyz", "/metrics")}


def hook_headers(body: bytes, *, id: str = "msg_1", at: float | None = None, secret: bytes = SECRET) -> dict[str, str]:
    """Signed as the specification of Standard Webhooks writes it, without our own code."""
    timestamp = str(int(e.NOW.timestamp() if at is None else at))
    signed = hmac.new(secret, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1,b3RoZXI= v1," + base64.b64encode(signed).decode(),
        "content-type": "application/json",
    }
