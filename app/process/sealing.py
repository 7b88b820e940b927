"""The writer of sealed batches: seals new rows of every ledger, and checks sealed ones again, a few in each round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from itertools import cycle
from typing import Final

import structlog
from prometheus_client import Gauge

from store.engine import Database
from store.keys import Keyring
from store.seals import LEDGERS, Ledger, Signer, check_one, seal_batch

EVERY_SECONDS: Final = 40.0
"""A row is sealed within a minute of its commit."""
PAUSE_SECONDS: Final = 0.05
"""Between two batches of a backlog, so that others get the write lock."""
CHECKED: Final = 2
"""Batches of each ledger that are checked again in one round."""

BROKEN = Gauge(
    "cart_sealed_batches_broken", "Sealed batches whose rows are not what was sealed, by the running check.", ["ledger"]
)
log = structlog.get_logger(__name__)


class SealWriter:
    """Seals and checks. Any number of workers may run one: a lock lets one batch be sealed at a time."""

    def __init__(self, db: Database, keys: Keyring, clock: Callable[[], datetime]) -> None:
        self._db, self._keys, self._clock = db, keys, clock
        self._public = Signer(keys).public
        self._next: dict[str, int] = {}
        self._broken: dict[str, set[int]] = {ledger.name: set() for ledger in LEDGERS}
        for ledger in LEDGERS:
            BROKEN.labels(ledger=ledger.name).set(0)

    async def run(self) -> None:
        """Seals at the start and then in every round, until canceled. An outage ends a round, not the writer."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 sealing must go on after any error
                log.warning("seals.round_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def round(self) -> int:
        """Seals everything that waits, then checks a few batches; returns the rows sealed."""
        sealed = 0
        for ledger in LEDGERS:
            while count := await asyncio.to_thread(seal_batch, self._db, self._keys, ledger, self._clock()):
                sealed += count
                await asyncio.sleep(PAUSE_SECONDS)
        for ledger, _ in zip(cycle(LEDGERS), range(CHECKED * len(LEDGERS)), strict=False):
            await asyncio.to_thread(self._check_next, ledger)
        return sealed

    def _check_next(self, ledger: Ledger) -> None:
        """Checks the batch after the one checked last; after the last batch of a ledger the first comes again."""
        position = self._next.get(ledger.name, 1)
        with self._db.read() as session:
            faults = check_one(session, ledger, position, self._public)
        broken = self._broken[ledger.name]
        self._next[ledger.name] = 1 if faults is None else position + 1
        if faults:
            broken.add(position)
            log.error("seals.broken", ledger=ledger.name, batch=position, rows=len(faults))
        elif faults is not None:
            broken.discard(position)
        BROKEN.labels(ledger=ledger.name).set(len(broken))
