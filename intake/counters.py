"""Counters of this process about its feeds."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter

IGNORED = Counter(
    "cart_feed_ignored_total",
    "Messages of a feed unrelated to CAR-T; nothing of them is kept.",
    ["feed"],
)
DEPARTURES = Counter(
    "cart_feed_departures_total",
    "Departures from the standard in what was read all the same, by format (hl7, fhir, x12) and kind (docs/feeds.md).",
    ["format", "kind"],
)


def count_departures(format_name: str, kinds: Iterable[str]) -> None:
    """Count the departures of one message or file, each kind once."""
    for kind in sorted(set(kinds)):
        DEPARTURES.labels(format=format_name, kind=kind).inc()
