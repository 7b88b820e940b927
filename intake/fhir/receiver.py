"""One FHIR request through the door: its resources stored as events, what cannot be translated kept, its numbers counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from domain.events import Problem
from intake.counters import IGNORED
from intake.faults import NotUsable
from intake.fhir.notification import Notification
from intake.fhir.notification_gaps import count
from intake.fhir.translate import translate
from intake.fhir.unmatched_patients import traces_of
from intake.inbox import matching, quarantine, retention
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive_all
from intake.site_mapping import REORDERED, FhirFeed, Traces
from intake.site_mapping import SiteMapping as SiteMapping
from store.engine import Database, serialize
from store.feeds import note
from store.keys import Keyring

KIND = "fhir:"
DELETED = (
    "deleted by its server, which does not say why: cancel the booking or the stay, or correct what was sent of it"
)


@dataclass(frozen=True, slots=True)
class FhirDoor:
    """Takes FHIR notifications in by the site's mapping."""

    db: Database
    keys: Keyring
    mapping: SiteMapping

    def take(
        self, feed: FhirFeed, notification: Notification, now: datetime, allowed: frozenset[str] | None
    ) -> tuple[list[ReceiptResult], list[int]]:
        """Store every resource, then count; returns a receipt per event and the numbers that are missing.

        The first notification of a subscription is counted from the numbers it carries.
        """
        with self.db.write() as session:
            note(session, feed.name, now)
        receipts: list[ReceiptResult] = []
        allowed = feed.may_write(allowed)
        for resource in notification.resources:
            receipts += self._resource(feed, resource, notification.others, now, allowed)
        for kind, name in notification.deleted:
            receipts += self._deleted(feed, {"resourceType": kind, "id": name}, now)
        return receipts, count(self.db, self.keys, feed.name, notification, now)

    def _resource(
        self,
        feed: FhirFeed,
        resource: Mapping[str, Any],
        others: Mapping[str, Mapping[str, Any]],
        now: datetime,
        allowed: frozenset[str] | None,
    ) -> list[ReceiptResult]:
        try:
            events, hint = translate(resource, others, feed, self.mapping)
        except NotUsable as error:
            return self._kept(feed, resource, others, str(error), now, traces_of(resource, others, feed, self.mapping))
        if not events:
            IGNORED.labels(feed=feed.name).inc()
        stays = resource.get("resourceType") == "Encounter" and self.mapping.whole_hospital
        quiet = self.mapping.retain_for if stays else None
        try:
            return receive_all(self.db, self.keys, events, now, feed.name, hint, allowed, quiet)
        except NotAllowed as error:
            return [ReceiptResult(None, None, Disposition.INVALID, (str(error),))]

    def _deleted(self, feed: FhirFeed, resource: Mapping[str, str], now: datetime) -> list[ReceiptResult]:
        """Of the whole hospital a server deletes much that was never kept: only what stands or waits here is missed."""
        traces = Traces(frozenset({resource["id"]}), None, None) if self.mapping.whole_hospital else None
        return self._kept(feed, resource, {}, DELETED, now, traces)

    def _kept(
        self,
        feed: FhirFeed,
        resource: Mapping[str, Any],
        others: Mapping[str, Mapping[str, Any]],
        reason: str,
        now: datetime,
        traces: Traces | None,
    ) -> list[ReceiptResult]:
        """Kept as it came, for somebody to cure; what may be a stranger's is set aside or let pass."""
        kind = f"{KIND}{resource.get('resourceType')}"
        raw = json.dumps({"resource": resource, "others": others}, sort_keys=True)
        problem = Problem(path=str(resource.get("resourceType")), message=reason)
        with self.db.write() as session:
            serialize(session)
            keep = partial(quarantine.keep_raw, session, self.keys, raw, kind, reason, now, feed.name)
            if traces is None or matching.knows(session, self.keys, traces.numbers, traces.record):
                return [ReceiptResult(None, None, Disposition.INVALID, (reason,), (problem,), keep().quarantine_id)]
            found_by = matching.keys_of(self.keys, traces.numbers, traces.record)
            if not found_by or (traces.keep is None and not retention.waits(session, found_by)):
                IGNORED.labels(feed=feed.name).inc()
                return []
            row = keep(found_by, now + (traces.keep or REORDERED))
        said = (matching.NO_SUBJECT, reason)
        return [ReceiptResult(None, None, Disposition.QUARANTINED, said, (problem,), row.quarantine_id)]
