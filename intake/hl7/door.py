"""One message through the door: read, translated, stored, answered. What cannot be translated is kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from activities.store import quarantine
from activities.store.attaching import NotAllowed
from activities.store.engine import Database
from activities.store.inbox import Disposition, ReceiptResult, receive, serialise
from activities.store.keys import Keyring
from activities.store.merging import merge_records
from intake.hl7.acks import Code, Fault, Verdict, acknowledge
from intake.hl7.mapping import Feed, Mapping
from intake.hl7.message import Message, NotHl7, NotUsable, read, text_of
from intake.hl7.translate import Merge, Translation, Unsupported, translate

SEND_AGAIN = "nothing was stored; send it again"

log = structlog.get_logger(__name__)


class Hl7Door:
    """Takes HL7 v2 messages in by the site's mapping.

    Args:
        wake: called when an event was stored.
    """

    def __init__(
        self, db: Database, keys: Keyring, mapping: Mapping, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._db, self._keys, self.mapping, self._clock, self._wake = db, keys, mapping, clock, wake

    def take(self, data: bytes) -> bytes:
        """Take a message in; the answer is given when it is durable, or tells why it is not. Never raises."""
        message = None
        try:
            message = read(data)
            verdict = self._taken(message, data)
        except NotHl7 as error:
            verdict = Verdict(Code.REJECT, str(error), Fault.SEGMENT)
        except SQLAlchemyError as error:
            log.warning("hl7.database", error=type(error).__name__)
            verdict = Verdict(Code.REJECT, SEND_AGAIN, Fault.INTERNAL)
        except Exception as error:  # noqa: BLE001 one bad message must not end a sender's connection
            log.error("hl7.failed", error=type(error).__name__)
            verdict = Verdict(Code.REJECT, SEND_AGAIN, Fault.INTERNAL)
        log.info("hl7.answered", code=verdict.code.value, fault=verdict.fault.value if verdict.fault else None)
        return acknowledge(message, verdict, self._clock())

    def reject(self, reason: str) -> bytes:
        """The answer to bytes that are no frame."""
        return acknowledge(None, Verdict(Code.REJECT, reason, Fault.SEGMENT), self._clock())

    def _taken(self, message: Message, data: bytes) -> Verdict:
        feed = self.mapping.feed_of(message)
        if feed is None:
            return Verdict(Code.REJECT, "MSH-3 and MSH-4: this sender is not in the mapping file", Fault.FIELD)
        if not message.control_id:
            return Verdict(Code.REJECT, "MSH-10: the control id is missing", Fault.FIELD)
        try:
            translated = translate(message, feed, self.mapping)
        except Unsupported as error:
            return Verdict(Code.REJECT, str(error), Fault.TYPE)
        except NotUsable as error:
            self._keep(message, feed, data, str(error))
            return Verdict(Code.ERROR, str(error), Fault.FIELD)
        if translated.merge is not None:
            return self._merged(feed, translated.merge)
        if translated.event is None:
            return Verdict(Code.ACCEPT, "nothing to do with CAR-T")
        return self._received(feed, translated)

    def _received(self, feed: Feed, translated: Translation) -> Verdict:
        assert translated.event is not None
        try:
            result = receive(
                self._db, self._keys, translated.event, self._clock(), feed.name, translated.hint, feed.facilities
            )
        except NotAllowed as error:
            return Verdict(Code.REJECT, str(error), Fault.FIELD)
        self._wake()
        return _verdict(result)

    def _merged(self, feed: Feed, merge: Merge) -> Verdict:
        merge_records(self._db, self._keys, merge.old, merge.new, merge.facility, feed.name, self._clock())
        self._wake()
        return Verdict(Code.ACCEPT)

    def _keep(self, message: Message, feed: Feed, data: bytes, reason: str) -> None:
        kind = "hl7v2:" + "^".join(part for part in message.trigger if part.isalnum())[:20]
        with self._db.write() as session:
            serialise(session)
            quarantine.keep_raw(session, self._keys, text_of(data), kind, reason, self._clock(), feed.name)


def _verdict(result: ReceiptResult) -> Verdict:
    reasons = "; ".join(result.reasons)
    if result.disposition is Disposition.INVALID:
        return Verdict(Code.ERROR, reasons, Fault.FIELD)
    if result.disposition is Disposition.CONFLICT:
        return Verdict(Code.ERROR, reasons, Fault.DUPLICATE)
    return Verdict(Code.ACCEPT, f"kept in quarantine: {reasons}" if result.quarantine_id and reasons else "")
