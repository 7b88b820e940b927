"""One message: read, translated, stored, answered. What cannot be translated is kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from intake.counters import IGNORED, count_departures
from intake.faults import Fault, NotHl7, NotUsable, Unsupported
from intake.feed_last_seen import FeedLastSeen
from intake.hl7.acks import Code, Verdict, acknowledge, acknowledge_batch
from intake.hl7.batch import batch, is_batch
from intake.hl7.departures import departures_in
from intake.hl7.message import Message, header_of, read_text, text_of
from intake.hl7.translate import Translation, translate
from intake.hl7.unmatched_patients import named_in, traces_by_name, traces_of
from intake.inbox import matching
from intake.inbox.merge_records import merge_in
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive_all
from intake.inbox.unusable import UNKNOWN_SENDER, Became, Original, concerns_us, keep_or_pass, keep_refused
from intake.site_mapping import REORDERED, Feed, SiteMapping, Traces
from store.engine import Database, DatabaseError, serialize
from store.keys import Keyring

FORMAT, KIND = "hl7", "hl7v2"
SEND_AGAIN = "nothing was stored; send it again"
NO_FEED = "MSH-3 and MSH-4: this sender is not in the mapping file"
NAMES_KNOWN = (
    "it names an appointment, a stay, an order or a record number that is known here: see whether it changes that"
)

log = structlog.get_logger(__name__)


class Hl7Receiver:
    """Takes HL7 v2 messages in by the site's mapping.

    Args:
        wake: called when an event was stored.
    """

    def __init__(
        self, db: Database, keys: Keyring, mapping: SiteMapping, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._db, self._keys, self.mapping, self._clock, self._wake = db, keys, mapping, clock, wake
        self._feed_last_seen = FeedLastSeen(db)

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
            reason = error
            return self._answered(header_of(data), self._guarded(lambda: self._refused(data, names, reason)))
        return acknowledge_batch([self._answer(message, names) for message in messages], self._clock())

    def reject(self, reason: str, data: bytes = b"") -> bytes:
        """The answer to bytes that are no frame; nothing of them is kept.

        Args:
            data: what came of a message, for the answer to name it.
        """
        return self._answered(header_of(data), Verdict(Code.REJECT, reason, Fault.SEGMENT))

    def _answer(self, data: bytes, names: frozenset[str] | None) -> bytes:
        return self._answered(header_of(data), self._guarded(lambda: self._taken(data, names)))

    def _guarded(self, decide: Callable[[], Verdict]) -> Verdict:
        try:
            return decide()
        except DatabaseError as error:
            log.warning("hl7.database", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 one bad message must not end a sender's connection
            log.error("hl7.failed", error=type(error).__name__)
        return Verdict(Code.REJECT, SEND_AGAIN, Fault.INTERNAL)

    def _answered(self, header: Message | None, verdict: Verdict) -> bytes:
        log.info("hl7.answered", code=verdict.code.value, fault=verdict.fault.value if verdict.fault else None)
        return acknowledge(header, verdict, self._clock())

    def _taken(self, data: bytes, names: frozenset[str] | None) -> Verdict:
        try:
            text, departures = text_of(data)
            message = read_text(text, departures)
        except NotHl7 as error:
            return self._refused(data, names, error)
        feed = self.mapping.feed_of(*message.sender)
        if feed is None:
            return self._refused(data, names, Unsupported(NO_FEED, Fault.TABLE))
        if not _certified(feed, names):
            return Verdict(Code.REJECT, "MSH-3: this sender's certificate is not that of the feed", Fault.TABLE)
        self._feed_last_seen.note(feed.name, self._clock())
        if not message.control_id:
            return self._refused(data, names, Unsupported("MSH-10: the control id is missing", Fault.MISSING))
        with self._db.read() as session:
            known = matching.recognize(session, self._keys, named_in(message, feed))
        try:
            translated = translate(message, feed, self.mapping, known)
        except NotUsable as error:
            return self._unusable(message, feed, text, error)
        except Unsupported as error:
            return self._unsupported(message, feed, text, error)
        if not translated.merges and not translated.events:
            return self._without_meaning(message, feed, text)
        verdict = self._merged(feed, translated, data, names) if translated.merges else None
        verdict = verdict or self._received(feed, translated, data, names)
        if verdict.code is Code.ACCEPT:
            count_departures(FORMAT, message.departures | departures_in(message, feed, self.mapping))
        return verdict

    def _received(self, feed: Feed, translated: Translation, data: bytes, names: frozenset[str] | None) -> Verdict:
        try:
            results = receive_all(
                self._db,
                self._keys,
                translated.events,
                self._clock(),
                feed.name,
                translated.hint,
                feed.facilities,
                translated.retain_for,
                translated.also,
            )
        except NotAllowed as error:
            reason = str(error).replace("data.facility", feed.location[0])
            return self._refused(data, names, Unsupported(reason, Fault.FIELD))
        self._wake()
        return _worst([_verdict(result, translated.retain_for is not None) for result in results])

    def _merged(self, feed: Feed, translated: Translation, data: bytes, names: frozenset[str] | None) -> Verdict:
        if any(merge.facility not in feed.facilities for merge in translated.merges):
            own = ", ".join(sorted(feed.facilities))
            reason = f"PID-3: its sender may not write for this facility; it may write for {own}"
            return self._refused(data, names, Unsupported(reason, Fault.FIELD))
        with self._db.write() as session:
            serialize(session)
            for one in translated.merges:
                merge_in(session, self._keys, one.old, one.new, one.facility, feed.name, self._clock())
        self._wake()
        return Verdict(Code.ACCEPT)

    def _unusable(self, message: Message, feed: Feed, text: str, error: NotUsable) -> Verdict:
        """Kept as it came, for a person to correct; what may concern an unmatched patient is retained or let pass."""
        traces = traces_of(message, feed, self.mapping, error)
        match self._keep_or_pass(message, feed, text, str(error), traces):
            case Became.WORK:
                return Verdict(Code.ERROR, str(error), error.fault)
            case Became.ASIDE:
                return Verdict(Code.ACCEPT, f"retained: {matching.NO_SUBJECT}, and {error}")
            case Became.PASSED:
                return _let_pass(feed)

    def _without_meaning(self, message: Message, feed: Feed, text: str) -> Verdict:
        """What has nothing to do with CAR-T passes, unless it names what is known or retained here."""
        traces = traces_by_name(message, feed)
        with self._db.read() as session:
            ours = concerns_us(session, self._keys, traces)
        became = self._keep_or_pass(message, feed, text, NAMES_KNOWN, traces) if ours else Became.PASSED
        match became:
            case Became.WORK:
                return Verdict(Code.ERROR, NAMES_KNOWN, Fault.EVENT)
            case Became.ASIDE:
                return Verdict(Code.ACCEPT, f"retained: {matching.NO_SUBJECT}, and {NAMES_KNOWN}")
            case Became.PASSED:
                return _let_pass(feed)

    def _unsupported(self, message: Message, feed: Feed, text: str, error: Unsupported) -> Verdict:
        """Refused. It is kept for a while, or as a person's work where it names what is known here or is of no version."""
        traces = traces_by_name(message, feed)
        original = Original(text, kind_of(message), str(error), feed.name)
        now = self._clock()
        with self._db.write() as session:
            serialize(session)
            if error.fault is Fault.VERSION:
                keep_refused(session, self._keys, original, now, None)
            elif error.fault is Fault.PROCESSING:
                keep_refused(session, self._keys, original, now, now + REORDERED)
            elif matching.knows(session, self._keys, traces.numbers, traces.record, traces.records):
                keep_refused(session, self._keys, original, now, None)
                code = Code.ERROR if self.mapping.whole_hospital else Code.REJECT
                return Verdict(code, f"{error}; {NAMES_KNOWN}", error.fault)
            else:
                found_by = matching.keys_of(self._keys, traces.numbers, traces.record, traces.records)
                until = now + self.mapping.retain_for
                keep_refused(session, self._keys, original, now, until, found_by)
        return Verdict(Code.REJECT, str(error), error.fault)

    def _refused(self, data: bytes, names: frozenset[str] | None, error: NotHl7 | Unsupported) -> Verdict:
        """Refused, and kept as it came; not of a sender whose certificate is another feed's, which is not believed to be it."""
        header = header_of(data)
        feed = self.mapping.feed_of(*header.sender) if header else None
        if feed is None or _certified(feed, names):
            try:
                text, _ = text_of(data)
            except NotHl7:
                text = data.decode("latin-1")
            original = Original(text, kind_of(header), str(error), feed.name if feed else UNKNOWN_SENDER)
            with self._db.write() as session:
                serialize(session)
                keep_refused(session, self._keys, original, self._clock(), None)
        return Verdict(Code.REJECT, str(error), error.fault)

    def _keep_or_pass(self, message: Message, feed: Feed, text: str, reason: str, traces: Traces | None) -> Became:
        original = Original(text, kind_of(message), reason, feed.name)
        with self._db.write() as session:
            serialize(session)
            return keep_or_pass(session, self._keys, original, traces, self._clock())


def kind_of(message: Message | None) -> str:
    """How quarantine names a message that could not be translated: by its trigger, where that is one."""
    parts = [part for part in (message.trigger if message else ()) if part.isalnum()]
    return f"{KIND}:" + "^".join(parts)[:20]


def _certified(feed: Feed, names: frozenset[str] | None) -> bool:
    return names is None or feed.client_certificate is None or feed.client_certificate in names


def _let_pass(feed: Feed) -> Verdict:
    IGNORED.labels(feed=feed.name).inc()
    return Verdict(Code.ACCEPT, "nothing to do with CAR-T")


def _worst(verdicts: list[Verdict]) -> Verdict:
    refused = [verdict for verdict in verdicts if verdict.code is not Code.ACCEPT]
    said = [verdict for verdict in verdicts if verdict.text]
    return (refused or said or verdicts)[0]


def _verdict(result: ReceiptResult, retain_for: bool) -> Verdict:
    reasons = "; ".join(result.reasons)
    if result.disposition is Disposition.INVALID:
        return Verdict(Code.ERROR, reasons, Fault.FIELD)
    if result.disposition is Disposition.CONFLICT:
        return Verdict(Code.ERROR, reasons, Fault.DUPLICATE)
    if retain_for and matching.NO_SUBJECT in result.reasons:
        return Verdict(Code.ACCEPT, f"retained: {matching.NO_SUBJECT}")
    return Verdict(Code.ACCEPT, f"kept in quarantine: {reasons}" if result.quarantine_id and reasons else "")
