"""A payer file in the store: read, distinguished from a copy, and every response handed to the inbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Any

from domain.billing.x12.entries import Apart, Departure, Entry, NotUsable, Opened
from domain.billing.x12.response_files import TA1
from domain.site import Site
from intake import alerts
from intake.counters import DEPARTURES
from intake.inbox import quarantine
from intake.inbox.matching import known_claims
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive
from intake.payer_files.reading import Payload, read_apart
from store.alerts import open_once, resolve
from store.engine import Database, Session, serialize
from store.keys import Keyring
from store.queries.claims import sent_in
from store.tables import ReplyFile

X12 = "x12"
REPEATED = "the same file was imported before"
ANOTHER_INTERCHANGE = "it answers an interchange that was not sent from here"
NONE_OF_OURS = "it answers no claim that was sent from here"
CHANGED = "it changed while it was read"
_ONE_OF_IT = "one response of it could not be read"
_AT_ONCE = 500
"""Entries that are looked up together; of a file of a whole hospital few are ours."""
_MOST_APART = 50
"""What more of a file cannot be read than this is no oddity: the file is refused whole."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file came to. `passed_over` counts answers to claims of other systems of the house, `beyond` those to claims of
    facilities that the sender may not write for; `departures` are what it departs from its guide by, in words."""

    receipts: tuple[ReceiptResult, ...]
    passed_over: int = 0
    beyond: int = 0
    departures: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """A file as read: whose it is, its events as JSON, since they may be many, and what is set apart."""

    sender: str = ""
    events: list[bytes] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    passed_over: int = 0
    filed: bool = False


class PayerFileImporter:
    """Imports payer files, by whatever way they come. The same responses twice are duplicates by source and id.

    Args:
        site: names the zone of the times in the files, and whether files of all systems of the hospital come here.
    """

    def __init__(self, db: Database, keys: Keyring, site: Callable[[], Site]) -> None:
        self._db, self._keys, self._site = db, keys, site

    def digest(self, body: bytes | bytearray | Path) -> str:
        """By which a copy of a file is recognized: a keyed hash of its content."""
        return self._digest(Payload.of(body))

    def known(self, digest: str) -> ReplyFile | None:
        """The record of a file that was imported."""
        with self._db.read() as session:
            return session.get(ReplyFile, digest)

    def events(self, body: bytes) -> list[dict[str, Any]]:
        """The responses of a kept file as events.

        Raises:
            NotUsable: as `take`; or a response of it cannot be read.
        """
        found = self._read(Payload.of(body))
        if found.apart:
            raise NotUsable(found.apart[0].reason)
        if not found.events:
            raise NotUsable(NONE_OF_OURS)
        return [json.loads(event) for event in found.events]

    def take(
        self,
        body: bytes | bytearray | Path,
        now: datetime,
        feed: str | None = None,
        allowed: frozenset[str] | None = None,
    ) -> Taken:
        """Take a file in, durably. A crash half-way is harmless: taken again, what was stored answers as a duplicate.

        Args:
            feed: the authenticated sender, where one is known; else the sender that the file names.
            allowed: the facilities the sender may write for; None means all of them.

        Raises:
            NotUsable: torn, foreign, counted otherwise, out of balance, or about nothing of ours.
        """
        payload = Payload.of(body)
        digest = self._digest(payload)
        found = self._read(payload)
        if isinstance(body, Path) and self._digest(payload) != digest:
            raise NotUsable(CHANGED, torn=True)
        by = feed or f"/x12/{found.sender}"
        receipts = [self._received(json.loads(event), now, by, allowed) for event in found.events]
        receipts += [self._set_apart(apart, now, by) for apart in found.apart]
        with self._db.write() as session:
            if session.get(ReplyFile, digest) is None:
                session.add(ReplyFile(digest=digest, taken_at=now, replies=len(receipts)))
            resolve(session, alerts.reply_file_refused(digest).key, now)
        for departure in found.departures:
            DEPARTURES.labels(format=X12, kind=departure.kind).inc()
        beyond = sum(1 for one in receipts if one.disposition is Disposition.INVALID and one.quarantine_id is None)
        words = tuple(departure.words for departure in found.departures)
        return Taken(tuple(receipts), found.passed_over, beyond, words)

    def _received(
        self, event: dict[str, Any], now: datetime, feed: str, allowed: frozenset[str] | None
    ) -> ReceiptResult:
        try:
            receipt = receive(self._db, self._keys, event, now, feed, allowed=allowed)
        except NotAllowed as error:
            return ReceiptResult(None, None, Disposition.INVALID, (str(error),))
        if receipt.disposition is Disposition.INVALID and receipt.quarantine_id:
            with self._db.write() as session:
                reason = f"{_ONE_OF_IT}: {'; '.join(receipt.reasons[:1])}"
                open_once(session, None, alerts.reply_file_refused(receipt.quarantine_id, reason), now)
        return receipt

    def _set_apart(self, apart: Apart, now: datetime, feed: str) -> ReceiptResult:
        """Keep what could not be read, as work for a person."""
        reason = f"{_ONE_OF_IT}: {apart.reason}"
        with self._db.write() as session:
            serialize(session)
            kept = quarantine.keep_raw(session, self._keys, apart.text, X12, reason, now, feed)
            open_once(session, None, alerts.reply_file_refused(kept.quarantine_id, reason), now)
        return ReceiptResult(None, None, Disposition.INVALID, (reason,), quarantine_id=kept.quarantine_id)

    def moved(self, digest: str, now: datetime) -> None:
        """The file left its directory: the same content again is a copy."""
        with self._db.write() as session:
            session.get_one(ReplyFile, digest).moved_at = now

    @property
    def _zone(self) -> tzinfo:
        return self._site().facilities[0].zone

    def _digest(self, payload: Payload) -> str:
        return self._keys.digest_of("reply file", payload.pieces())

    def _read(self, payload: Payload) -> _Found:
        found, waiting = _Found(), list[tuple[Opened, int, Entry | Apart]]()
        opened: Opened | None = None
        number = 0
        for item in read_apart(payload, self._zone):
            if isinstance(item, Opened):
                opened, number = item, 0
                found.sender = item.sender
            elif isinstance(item, Departure):
                found.departures.append(item)
            else:
                assert opened is not None  # an interchange opens before anything of it comes
                number += isinstance(item, Entry)
                waiting.append((opened, number, item))
                if len(waiting) >= _AT_ONCE:
                    self._look_up(found, waiting)
                    waiting.clear()
        self._look_up(found, waiting)
        others = [apart for apart in found.apart if apart.reason == ANOTHER_INTERCHANGE]
        if not found.events and not found.filed and (others or found.passed_over) and len(others) == len(found.apart):
            raise NotUsable(ANOTHER_INTERCHANGE if others else NONE_OF_OURS)
        if len(found.apart) > _MOST_APART:
            raise NotUsable(f"more than {_MOST_APART} responses of it cannot be read: {found.apart[0].reason}")
        return found

    def _look_up(self, found: _Found, waiting: Iterable[tuple[Opened, int, Entry | Apart]]) -> None:
        """Which of the entries are ours; the others are passed over or kept, as the site says."""
        events, apart = [], []
        with self._db.read() as session:
            for opened, number, item in waiting:
                if isinstance(item, Apart):
                    apart.append(item)
                    continue
                controls = [item.control] if item.control is not None else self._controls(session, opened, item)
                if not controls and item.data["kind"] == TA1:
                    found.filed = True  # of an interchange of another system: nothing is to be done about it
                elif not controls:
                    apart.append(Apart(ANOTHER_INTERCHANGE, item.text, interchange=item.interchange))
                events += [self._event(opened, item, number, control) for control in controls]
            numbers = {event["subject"] for event in events} | {one.control for one in apart if one.control}
            ours = self._ours(session, numbers)
        known = [event for event in events if event["subject"] in ours]
        kept = [one for one in apart if one.control is None or one.control in ours]
        found.events += [json.dumps(event).encode() for event in known]
        found.apart += kept
        found.passed_over += len(events) - len(known) + len(apart) - len(kept)

    def _event(self, opened: Opened, entry: Entry, number: int, control: str) -> dict[str, Any]:
        """Money is known by its transfer, whichever file brings it; an acknowledgement by its file and place.

        So a remittance that comes a second time, from the payer and from the clearing house, is counted once.
        """
        if entry.on is not None:
            source, name = f"/x12/835/{entry.payer}", entry.reference
            moment = datetime.combine(entry.on, time(0), self._zone)
        else:
            source, moment = f"/x12/{opened.sender}", opened.made
            place = f"{TA1}/{entry.interchange}" if entry.data["kind"] == TA1 else str(number)
            name = f"{opened.number}/{opened.made:%Y%m%d%H%M}/{place}/{control}"
        return {
            "specversion": "1.0",
            "id": name,
            "source": source,
            "subject": control,
            "type": entry.type,
            "time": moment.isoformat(),
            "data": {"control_number": control, **entry.data},
        }

    def _controls(self, session: Session, opened: Opened, entry: Entry) -> Sequence[str]:
        """The claims of the interchange that is answered: the one whose transaction is named, or all of them.

        A partner may answer under another name than it receives by, where the site file says so.
        """
        names = {payer.receiver_id for payer in self._site().payers if opened.sender in payer.answers_from}
        mode = "shadow" if opened.test else "live"
        rows = sent_in(session, names | {opened.sender}, entry.interchange, mode)
        placed = [row for row in rows if row.set_number == entry.place]
        sent = [row.control_number for row in (placed if len(rows) > 1 and entry.place else rows)]
        return entry.named if entry.named and not set(entry.named) & set(sent) else sent

    def _ours(self, session: Session, numbers: set[str]) -> set[str]:
        """Where files of all systems of the hospital come, most claims are other systems'; else every answer is for us."""
        return known_claims(session, self._keys, numbers) if self._site().whole_house_remittances else numbers
