"""Counts the rows of sealed ledgers that wait for their seal."""

from __future__ import annotations

from collections.abc import Iterator

from app.metrics.families import Sample, sample
from app.metrics.reading import Reading
from store.seals import LEDGERS, unsealed


def count_unsealed(reading: Reading) -> Iterator[Sample]:
    """Yields how many rows wait in each ledger, and for how long."""
    for ledger in LEDGERS:
        count, oldest, _ = unsealed(reading.session, ledger, names=0)
        yield sample("cart_rows_unsealed", count, ledger.name)
        yield sample("cart_rows_unsealed_oldest_seconds", reading.seconds_since(oldest), ledger.name)
