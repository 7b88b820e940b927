"""One FHIR request: its resources stored as events, what cannot be translated kept, its numbers counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from domain.events import Problem
from intake.counters import IGNORED, count_departures
from intake.faults import NotUsable
from intake.fhir.forms import in_form
from intake.fhir.json_values import Json, mapping, texts
from intake.fhir.notification import NAMED, Notification, Reference, zoned
from intake.fhir.notification_gaps import count
from intake.fhir.references import PLACES, References, reduced, reference_to, references_in
from intake.fhir.translate import envelopes, has_effect, named_in, translate
from intake.fhir.unmatched_patients import traces_by_name, traces_of
from intake.inbox import matching, named_resources
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, Reading, ReceiptResult, receive_all
from intake.inbox.unusable import Became, Original, concerns_us, keep_or_pass
from intake.site_mapping import FhirFeed, Traces
from intake.site_mapping import SiteMapping as SiteMapping
from store import fhir
from store.engine import Database, serialize
from store.feeds import note
from store.fhir import Stamp
from store.keys import Keyring

FORMAT, KIND = "fhir", "fhir:"
ASKED = "a resource that it only names is asked for"
DELETED = (
    "deleted by its server, which does not say why: cancel the booking or the stay, or correct what was sent of it"
)
NAMES_KNOWN = "it names an appointment, a stay or an order that is known here: see whether it changes that"
UNREADABLE = "it cannot be read; nothing of it was applied"
UNFORESEEN = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""An unforeseen shape of JSON: the resource is kept for a person, and what came with it is read."""

NECESSARY = ("Patient", *PLACES)
"""Types without which nothing can be made of a resource; the order it is based on is not one of them."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FhirReceiver:
    """Reads FHIR notifications by the site's mapping."""

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
            receipts += self._resource(feed, resource, notification.others, now, allowed, stated_at=notification.at)
        for kind, name in notification.deleted:
            receipts += self._deleted(feed, {"resourceType": kind, "id": name}, now)
        self._forget(feed, notification.forgotten)
        receipts += self.learn(feed, notification.alone, now, allowed)
        self._ask_for_announced(feed, notification, now)
        count_departures(FORMAT, notification.departures)
        return receipts, count(self.db, self.keys, feed.name, notification, now)

    def learn(
        self, feed: FhirFeed, resources: tuple[Json, ...], now: datetime, allowed: frozenset[str] | None
    ) -> list[ReceiptResult]:
        """Remember patients and places by their references, and read again what waited for them."""
        named = {reference_to(one): reduced(one) for one in resources}
        if not named:
            return []
        with self.db.write() as session:
            serialize(session)
            changed = fhir.remember(session, self.keys, feed.name, named, now)
            waiting = named_resources.waiting(session, self.keys, changed)
        receipts: list[ReceiptResult] = []
        for entry, raw, received_at in waiting:
            kept = json.loads(raw)
            others, stamp = kept["others"], _stamp_of(kept)
            found = self._resource(feed, kept["resource"], others, now, allowed, stated_at=received_at, stamp=stamp)
            if all(one.quarantine_id != entry for one in found):
                with self.db.write() as session:
                    named_resources.settle(session, entry, now)
            receipts += found
        return receipts

    def _resource(
        self,
        feed: FhirFeed,
        resource: Json,
        others: Mapping[str, Json],
        now: datetime,
        allowed: frozenset[str] | None,
        *,
        stated_at: datetime | None,
        stamp: Stamp | None = None,
    ) -> list[ReceiptResult]:
        try:
            return self._read(feed, resource, others, now, allowed, stated_at, stamp)
        except UNFORESEEN as error:
            log.error("fhir.failed", error=type(error).__name__)
            return self._kept(feed, resource, {}, UNREADABLE, now, None, [], None)

    def _read(
        self,
        feed: FhirFeed,
        resource: Json,
        others: Mapping[str, Json],
        now: datetime,
        allowed: frozenset[str] | None,
        stated_at: datetime | None,
        stamp: Stamp | None,
    ) -> list[ReceiptResult]:
        others, missing = self._with_remembered(feed, resource, others)
        with self.db.read() as session:
            known = matching.recognize(session, self.keys, named_in(resource, others, feed))
        try:
            translated = translate(resource, others, feed, self.mapping, known)
        except NotUsable as error:
            traces = traces_of(resource, others, feed, self.mapping)
            stamp = stamp or self._stamp(feed, resource, stated_at, now)
            return self._kept(feed, resource, others, str(error), now, traces, missing, stamp)
        if not translated.steps:
            return self._without_meaning(feed, resource, others, now, stated_at)
        stamp = stamp or self._stamp(feed, resource, stated_at, now)
        self._remember(feed, resource, others, now)
        events = envelopes(translated, resource, feed, stamp)
        try:
            receipts = receive_all(
                self.db, self.keys, events, now, feed.name, translated.hint, allowed, translated.retain
            )
        except NotAllowed as error:
            return [ReceiptResult(None, None, Disposition.INVALID, (str(error),))]
        count_departures(FORMAT, translated.departures)
        return receipts

    def _with_remembered(
        self, feed: FhirFeed, resource: Json, others: Mapping[str, Json]
    ) -> tuple[dict[str, Json], list[str]]:
        """What the references name, with what is remembered of it; and what they only name."""
        came = References(resource, others, feed)
        references = references_in(resource)
        wanted = {relative for one in references if (relative := _absent(came, one)) is not None}
        inner = [mapping(came.target(one).get("partOf")) for one in references]
        wanted |= {relative for one in inner if one and (relative := _absent(came, one)) is not None}
        used = _used(came, references)
        if wanted:
            with self.db.read() as session:
                used |= fhir.recall(session, self.keys, feed.name, wanted)
        return used, References(resource, used, feed).unknown(references, NECESSARY)

    def _remember(self, feed: FhirFeed, resource: Json, others: Mapping[str, Json], now: datetime) -> None:
        """What came with a resource that is ours is known when it is only named later."""
        references = References(resource, others, feed)
        found: dict[str, Json] = {}
        for one in references_in(resource):
            relative, target = references.relative(one), references.target(one)
            if relative and target.get("resourceType") in NAMED:
                found[relative] = reduced(target)
        if not found:
            return
        with self.db.read() as session:
            known = fhir.recall(session, self.keys, feed.name, found)
        if known != found:
            with self.db.write() as session:
                fhir.remember(session, self.keys, feed.name, found, now)

    def _stamp(self, feed: FhirFeed, resource: Json, stated_at: datetime | None, now: datetime) -> Stamp:
        """Version and moment: of the resource, else of the notification, else by its content and when it came."""
        own = _own_stamp(resource, feed, self.mapping)
        if own is not None:
            return own
        version = next(iter(texts(mapping(resource.get("meta")).get("versionId"))), None)
        with self.db.write() as session:
            serialize(session)
            reference = reference_to(resource)
            return fhir.stamp(session, self.keys, feed.name, reference, version, _hash(resource), stated_at, now)

    def _without_meaning(
        self, feed: FhirFeed, resource: Json, others: Mapping[str, Json], now: datetime, stated_at: datetime | None
    ) -> list[ReceiptResult]:
        """What has nothing to do with CAR-T passes, unless it names what is known or retained here."""
        traces = traces_by_name(resource, others, feed)
        with self.db.read() as session:
            # That a retained stay goes on at an unlisted place changes nothing of it; its end is retained, too.
            goes_on = resource.get("resourceType") == "Encounter" and has_effect(resource)
            ours = (
                matching.knows(session, self.keys, traces.numbers, None)
                if goes_on
                else concerns_us(session, self.keys, traces)
            )
        if not ours or self._is_older(feed, resource):
            IGNORED.labels(feed=feed.name).inc()
            return []
        stamp = self._stamp(feed, resource, stated_at, now)
        return self._kept(feed, resource, others, NAMES_KNOWN, now, traces, [], stamp)

    def _is_older(self, feed: FhirFeed, resource: Json) -> bool:
        """Whether a version without effect came after a later one: a stay that was planned before it began."""
        own = _own_stamp(resource, feed, self.mapping)
        at = zoned(own.at) if own else None
        if at is None or has_effect(resource):
            return False
        with self.db.read() as session:
            last = named_resources.last_stated(session, self.keys, str(resource.get("id")))
        return last is not None and last > at

    def _deleted(self, feed: FhirFeed, resource: Mapping[str, str], now: datetime) -> list[ReceiptResult]:
        """Of the whole hospital a server deletes much that was never kept: only what is known or waits here is missed."""
        traces = Traces(frozenset({resource["id"]}), None, None) if self.mapping.whole_hospital else None
        return self._kept(feed, resource, {}, DELETED, now, traces, [], None)

    def _kept(
        self,
        feed: FhirFeed,
        resource: Json,
        others: Mapping[str, Json],
        reason: str,
        now: datetime,
        traces: Traces | None,
        missing: list[str],
        stamp: Stamp | None,
    ) -> list[ReceiptResult]:
        """Kept as it came, for a person to correct; what may be an unmatched patient's is retained or ignored."""
        kept: dict[str, Any] = {"resource": resource, "others": others}
        if stamp is not None and stamp.kept:
            kept["stamp"] = {"version": stamp.version, "at": stamp.at}
        raw = json.dumps(kept, sort_keys=True)
        kind = str(resource.get("resourceType"))
        problem = Problem(path=kind, message=reason)
        with self.db.write() as session:
            serialize(session)
            original = Original(raw, f"{KIND}{kind}", reason, feed.name)
            became = keep_or_pass(session, self.keys, original, traces, now)
            entry = named_resources.entry_of(session, self.keys, feed.name, raw)
            if became is Became.PASSED or entry is None:
                IGNORED.labels(feed=feed.name).inc()
                return []
            asked = feed.ask_at is not None and bool(missing)
            if missing:
                self._wait_for(session, feed, entry, missing, now)
        if asked:
            return [ReceiptResult(None, None, Disposition.QUARANTINED, (ASKED, reason), (problem,), entry)]
        if became is Became.WORK:
            return [ReceiptResult(None, None, Disposition.INVALID, (reason,), (problem,), entry)]
        return [ReceiptResult(None, None, Disposition.QUARANTINED, (matching.NO_SUBJECT, reason), (problem,), entry)]

    def _wait_for(self, session: Any, feed: FhirFeed, entry: str, missing: list[str], now: datetime) -> None:
        if feed.ask_at is not None:
            for reference in missing:
                fhir.ask_for(session, self.keys, feed.name, reference, now)
        wanted = {fhir.resource_key(self.keys, feed.name, reference) for reference in missing}
        named_resources.wait_for(session, entry, wanted)

    def _forget(self, feed: FhirFeed, references: tuple[Reference, ...]) -> None:
        if references:
            with self.db.write() as session:
                for reference in references:
                    fhir.forget(session, self.keys, feed.name, "/".join(reference))

    def _ask_for_announced(self, feed: FhirFeed, notification: Notification, now: datetime) -> None:
        """What a payload of ids names is asked for by itself: not every server has `$events`."""
        if feed.ask_at is None or not notification.announced or notification.subscription is None:
            return
        with self.db.write() as session:
            serialize(session)
            for number, about in notification.announced:
                event = (notification.subscription, number)
                fhir.ask_for(session, self.keys, feed.name, "/".join(about), now, event)


def read_again(raw: str, feed: FhirFeed, mapping_file: SiteMapping) -> Reading:
    """A kept resource by the mapping of today.

    Raises:
        NotUsable: it still cannot be used.
    """
    kept = json.loads(raw)
    resource, others = kept["resource"], kept["others"]
    translated = translate(resource, others, feed, mapping_file)
    stamp = _stamp_of(kept) or _own_stamp(resource, feed, mapping_file)
    if stamp is None:
        raise NotUsable("meta.lastUpdated: missing")
    return Reading(envelopes(translated, resource, feed, stamp), translated.hint, feed.facilities)


def _own_stamp(resource: Json, feed: FhirFeed, mapping_file: SiteMapping) -> Stamp | None:
    """Version and moment as the resource states them; where it has a moment alone, its content tells versions apart."""
    try:
        meta = mapping(in_form(resource, feed, mapping_file).resource.get("meta"))
    except NotUsable:
        meta = mapping(resource.get("meta"))
    at, version = meta.get("lastUpdated"), next(iter(texts(meta.get("versionId"))), None)
    if not isinstance(at, str) or zoned(at) is None:
        return None
    return Stamp(version or f"{at}-{_hash(resource)[:16]}", at)


def _stamp_of(kept: Json) -> Stamp | None:
    stated = mapping(kept.get("stamp"))
    return Stamp(str(stated["version"]), str(stated["at"]), kept=True) if stated else None


def _hash(resource: Json) -> str:
    text = json.dumps(resource, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _absent(references: References, reference: Json) -> str | None:
    """What a reference names of this server and nothing brought."""
    relative = references.relative(reference)
    return relative if relative and not references.target(reference) else None


def _used(came: References, references: list[Json]) -> dict[str, Json]:
    """Of what came, what the resource refers to, and what that is part of: nothing of other patients."""
    used: dict[str, Json] = {}
    for one in references:
        reference = one
        for _ in range(4):
            target, text = came.target(reference), reference.get("reference")
            if not target or not isinstance(text, str):
                break
            if not text.startswith("#"):
                used[text.split("/_history/", 1)[0]] = target
            reference = mapping(target.get("partOf"))
    return used
