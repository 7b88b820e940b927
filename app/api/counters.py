"""The gateway's own counters; gauges of what the database knows are in `app.metrics`."""

from __future__ import annotations

from prometheus_client import Counter

RECEIVED = Counter("cart_events_received_total", "Events taken in, by what became of them.", ["disposition"])
REPLAYED = Counter("cart_quarantine_replays_total", "Replays of quarantined events, by outcome.", ["outcome"])
DENIED = Counter("cart_denied_requests_total", "Requests without a valid token or beyond the rate.", ["status"])
