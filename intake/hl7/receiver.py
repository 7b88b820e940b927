"""One message through the door: read, translated, stored, answered. What cannot be translated is kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from intake.counters import IGNORED
from intake.faults import Fault, NotHl7, NotUsable, Unsupported
from intake.feed_last_seen import Hearing
from intake.hl7.acks import Code, Verdict, acknowledge, acknowledge_batch
from intake.hl7.batch import batch, is_batch
from intake.hl7.charsets import text_of
from intake.hl7.message import Message, read_text
from intake.hl7.translate import Merge, Translation, translate
from intake.hl7.unmatched_patients import traces_of
from intake.inbox import matching, quarantine
from intake.inbox.merge_records import merge_records
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive_all
from intake.site_mapping import Feed, SiteMapping
from store.engine import Database, DatabaseError, serialize
from store.keys import Keyring

SEND_AGAIN = "nothing was stored; send it again"

log = structlog.get_logger(__name__)


class Hl7Door:
    """Takes HL7 v2 messages in by the site's mapping.

    Args:
        wake: called when an event was stored.
    """

    def __init__(
        self, db: Database, keys: Keyring, mapping: SiteMapping, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._db, self._keys, self.mapping, self._clock, self._wake = db, keys, mapping, clock, wake
        self._hearing = Hearing(db)

    def take(self, data: bytes, names: frozenset[str] | None = None) -> bytes:
        """Take a message or a batch in; the answer is given when it is durable, or tells why it is not. Never raises.

        Args:
            names: of the sender's certificate; None where the transport asks for none.
        """
        if not is_batch(data):
            return self._answer(data, names)
        try:
            messages = batch(data)
        except NotHl7 as error:
            return self._refused(error)
        return acknowledge_batch([self._answer(message, names) for message in messages], self._clock())

    def reject(self, reason: str) -> bytes:
        """The answer to bytes that are no frame."""
        return self._refused(NotHl7(reason))

    def _refused(self, error: NotHl7) -> bytes:
        return acknowledge(None, Verdict(Code.REJECT, str(error), error.fault), self._clock())

    def _answer(self, data: bytes, names: frozenset[str] | None) -> bytes:
        message = None
        try:
            text = text_of(data)
            message = read_text(text)
            verdict = self._taken(message, text, names)
        except (NotHl7, Unsupported) as error:
            verdict = Verdict(Code.REJECT, str(error), error.fault)
        except DatabaseError as error:
            log.warning("hl7.database", error=type(error).__name__)
            verdict = Verdict(Code.REJECT, SEND_AGAIN, Fault.INTERNAL)
        except Exception as error:  # noqa: BLE001 one bad message must not end a sender's connection
            log.error("hl7.failed", error=type(error).__name__)
            verdict = Verdict(Code.REJECT, SEND_AGAIN, Fault.INTERNAL)
        log.info("hl7.answered", code=verdict.code.value, fault=verdict.fault.value if verdict.fault else None)
        return acknowledge(message, verdict, self._clock())

    def _taken(self, message: Message, text: str, names: frozenset[str] | None) -> Verdict:
        feed = self.mapping.feed_of(*message.sender)
        if feed is None:
            return Verdict(Code.REJECT, "MSH-3 and MSH-4: this sender is not in the mapping file", Fault.TABLE)
        if names is not None and feed.client_certificate is not None and feed.client_certificate not in names:
            return Verdict(Code.REJECT, "MSH-3: this sender's certificate is not that of the feed", Fault.TABLE)
        self._hearing.heard(feed.name, self._clock())
        if not message.control_id:
            return Verdict(Code.REJECT, "MSH-10: the control id is missing", Fault.MISSING)
        try:
            translated = translate(message, feed, self.mapping)
        except NotUsable as error:
            return self._unusable(message, feed, text, error)
        if translated.merge is not None:
            return self._merged(feed, translated.merge)
        if not translated.events:
            return _let_pass(feed)
        return self._received(feed, translated)

    def _received(self, feed: Feed, translated: Translation) -> Verdict:
        try:
            results = receive_all(
                self._db,
                self._keys,
                translated.events,
                self._clock(),
                feed.name,
                translated.hint,
                feed.facilities,
                translated.aside,
            )
        except NotAllowed as error:
            return Verdict(Code.REJECT, str(error).replace("data.facility", feed.location[0]), Fault.FIELD)
        self._wake()
        return _worst([_verdict(result, translated.aside is not None) for result in results])

    def _merged(self, feed: Feed, merge: Merge) -> Verdict:
        if merge.facility not in feed.facilities:
            return Verdict(
                Code.REJECT,
                f"PID-3: its sender may not write for this facility; it may write for {', '.join(sorted(feed.facilities))}",
                Fault.FIELD,
            )
        merge_records(self._db, self._keys, merge.old, merge.new, merge.facility, feed.name, self._clock())
        self._wake()
        return Verdict(Code.ACCEPT)

    def _unusable(self, message: Message, feed: Feed, text: str, error: NotUsable) -> Verdict:
        """Kept as it came, for somebody to cure; what may be a stranger's is set aside or let pass."""
        kind = "hl7v2:" + "^".join(part for part in message.trigger if part.isalnum())[:20]
        traces, now = traces_of(message, feed, self.mapping, error), self._clock()
        with self._db.write() as session:
            serialize(session)
            keep = partial(quarantine.keep_raw, session, self._keys, text, kind, str(error), now, feed.name)
            if traces is None or matching.knows(session, self._keys, traces.numbers, traces.record):
                keep()
                return Verdict(Code.ERROR, str(error), error.fault)
            found_by = matching.keys_of(self._keys, traces.numbers, traces.record)
            if traces.keep is None or not found_by:
                return _let_pass(feed)
            keep(found_by, now + traces.keep)
        return Verdict(Code.ACCEPT, f"set aside: {matching.NO_SUBJECT}, and {error}")


def _let_pass(feed: Feed) -> Verdict:
    IGNORED.labels(feed=feed.name).inc()
    return Verdict(Code.ACCEPT, "nothing to do with CAR-T")


def _worst(verdicts: list[Verdict]) -> Verdict:
    refused = [verdict for verdict in verdicts if verdict.code is not Code.ACCEPT]
    said = [verdict for verdict in verdicts if verdict.text]
    return (refused or said or verdicts)[0]


def _verdict(result: ReceiptResult, aside: bool) -> Verdict:
    reasons = "; ".join(result.reasons)
    if result.disposition is Disposition.INVALID:
        return Verdict(Code.ERROR, reasons, Fault.FIELD)
    if result.disposition is Disposition.CONFLICT:
        return Verdict(Code.ERROR, reasons, Fault.DUPLICATE)
    if aside and matching.NO_SUBJECT in result.reasons:
        return Verdict(Code.ACCEPT, f"set aside: {matching.NO_SUBJECT}")
    return Verdict(Code.ACCEPT, f"kept in quarantine: {reasons}" if result.quarantine_id and reasons else "")
