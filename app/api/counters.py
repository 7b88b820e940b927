"""Counters of the gateway process; database metrics are in `app.metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECEIVED = Counter("cart_events_received_total", "Events received, by disposition.", ["disposition"])
REPLAYED = Counter("cart_quarantine_replays_total", "Replays of quarantined events, by outcome.", ["outcome"])
DENIED = Counter("cart_denied_requests_total", "Requests without a valid token or above the rate limit.", ["status"])
ACCESS_FILE_UP = Gauge(
    "cart_access_file_up", "0 while the access file on disk is invalid and the previous one is in effect; else 1."
)
ACCESS_FILE_UP.set(1)
