"""The collector: reads the database at a scrape, at most every few seconds; a failure does not fail the scrape."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from app.metrics.alerts import count_alerts
from app.metrics.claims import count_claims
from app.metrics.encounters import check_chains, count_encounters, count_spans
from app.metrics.families import Sample, families, sample
from app.metrics.intake import count_intake
from app.metrics.reading import Reading, Remembered
from app.metrics.seals import count_unsealed
from app.metrics.validity import count_certificates, count_rules
from domain.rulebook import RulebookError
from domain.site import SiteError
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring

CACHE_SECONDS = 5.0
CHAIN_CACHE_SECONDS = 300.0
WITHOUT_STORE = frozenset({"cart_build_info", "cart_shelf_up"})
"""Metrics available while the database does not respond."""

T = TypeVar("T")


def utc_now() -> datetime:
    return datetime.now(UTC)


class StoreMetrics(Collector):
    """Metrics of encounters, alerts, claims, intake, certificates and rulebook, without patient identifiers."""

    def __init__(
        self,
        db: Database,
        config: ConfigCache | None = None,
        keys: Keyring | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        cache_seconds: float = CACHE_SECONDS,
        chain_cache_seconds: float = CHAIN_CACHE_SECONDS,
    ) -> None:
        self.db, self.config, self.keys, self.clock = db, config, keys, clock
        self._kept = _Kept[list[Sample]](cache_seconds)
        self._chains = _Kept[list[Sample]](chain_cache_seconds)
        self._views: Remembered[str, dict[str, Any]] = Remembered()
        self._documents: Remembered[tuple[str, str, int, int], dict[str, Any]] = Remembered()
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Returns the families without samples, so that registration does not read the database."""
        return families(())

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            samples = self._kept.get(self._read)
        yield from families(samples)

    def _read(self) -> list[Sample]:
        began = time.perf_counter()
        found: list[Sample] = []
        rules = self._configured("rulebook", found, lambda config: config.rules())
        site = self._configured("site", found, lambda config: config.site())
        if rules is not None:
            found += count_rules(rules, self.clock().date())
            found.append(sample("cart_build_info", 1, version("cart-encounter"), rules.edition, rules.digest[:12]))
        try:
            with self.db.read(long=True) as session:
                reading = Reading(session, self.clock(), self.config, self.keys, self._views, self._documents)
                for part in (
                    count_intake(reading),
                    count_encounters(reading),
                    count_spans(reading),
                    count_alerts(reading),
                    count_claims(reading, rules),
                    count_certificates(reading, site),
                    count_unsealed(reading),
                    self._chains.get(lambda: check_chains(reading)),
                ):
                    found += part
        except SQLAlchemyError:
            return [each for each in found if each.name in WITHOUT_STORE] + [sample("cart_store_up", 0)]
        return [
            *found,
            sample("cart_store_up", 1),
            sample("cart_store_scrape_seconds", time.perf_counter() - began),
        ]

    def _configured(self, name: str, found: list[Sample], read: Callable[[ConfigCache], T]) -> T | None:
        if self.config is None:
            return None
        try:
            answer = read(self.config)
        except (OSError, RulebookError, SiteError):
            found.append(sample("cart_shelf_up", 0, name))
            return None
        found.append(sample("cart_shelf_up", 1, name))
        return answer


class _Kept(Generic[T]):
    """A cached value that is read again after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._value: T | None = None
        self._until = 0.0

    def get(self, read: Callable[[], T]) -> T:
        if self._value is None or time.monotonic() >= self._until:
            self._value = read()
            self._until = time.monotonic() + self._seconds
        return self._value
