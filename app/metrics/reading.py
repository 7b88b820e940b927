"""Shared by the counting functions: session, time, and documents that are read once per version."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlmodel import Session

from store.config import ConfigCache
from store.keys import Keyring

BATCH = 200

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class Remembered(Generic[K, V]):
    """Cached digests of documents by key, read again only if the stamp changed."""

    digests: dict[K, tuple[object, V]] = field(default_factory=dict)

    def refresh(self, stamps: Mapping[K, object], read: Callable[[Sequence[K]], Iterable[tuple[K, V]]]) -> dict[K, V]:
        """Returns the digest of every key of `stamps`; `read` loads new or changed ones in batches."""
        known = self.digests
        changed = iter([key for key, stamp in stamps.items() if key not in known or known[key][0] != stamp])
        for gone in known.keys() - stamps.keys():
            del known[gone]
        while batch := list(islice(changed, BATCH)):
            for key, digest in read(batch):
                known[key] = (stamps[key], digest)
        return {key: digest for key, (_, digest) in known.items()}


@dataclass(frozen=True)
class Reading:
    """One read of the database for metrics."""

    session: Session
    now: datetime
    config: ConfigCache | None
    keys: Keyring | None
    views: Remembered[str, dict[str, Any]]
    documents: Remembered[tuple[str, str, int, int], dict[str, Any]]

    def seconds_since(self, moment: datetime | None) -> float:
        """Returns the age in seconds; 0 for None and for future times."""
        return max(0.0, (self.now - moment).total_seconds()) if moment else 0.0
