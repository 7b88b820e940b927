"""What this process counts of its feeds."""

from __future__ import annotations

from prometheus_client import Counter

IGNORED = Counter(
    "cart_feed_ignored_total",
    "Messages of a feed unrelated to CAR-T; nothing of them is kept.",
    ["feed"],
)

DEPARTURES = Counter(
    "cart_feed_departures_total",
    "What senders write otherwise than the standard has it, and is taken all the same.",
    ["format", "kind"],
)
