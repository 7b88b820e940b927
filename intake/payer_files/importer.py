"""A file of answers in the store: read, told from a copy, and every answer handed to the inbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Any

from domain.billing.x12.entries import Entry, NotUsable
from domain.billing.x12.response_files import Answers, read
from domain.site import Site
from intake import alerts
from intake.inbox.matching import knows_claim
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive
from store.alerts import resolve
from store.engine import Database, Session
from store.keys import Keyring
from store.queries.claims import sent_in
from store.tables import ReplyFile

REPEATED = "the same file was taken in before"
ANOTHER_INTERCHANGE = "it answers an interchange that was not sent from here"
NONE_OF_OURS = "it answers no claim that was sent from here"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file came to. `passed_over` counts answers to claims of other systems of the house, `beyond` those to claims of
    facilities that the sender may not write for."""

    receipts: tuple[ReceiptResult, ...]
    passed_over: int = 0
    beyond: int = 0


class PayerFileImporter:
    """Takes files of answers in, by whatever door they come. The same answers twice are duplicates by source and id.

    Args:
        site: names the zone of the times in the files, and whether files of the whole house come here.
    """

    def __init__(self, db: Database, keys: Keyring, site: Callable[[], Site]) -> None:
        self._db, self._keys, self._site = db, keys, site

    def digest(self, body: bytes) -> str:
        """By which a copy of a file is told: a keyed hash of its content."""
        return self._keys.digest("reply file", body.decode("latin-1"))

    def known(self, digest: str) -> ReplyFile | None:
        """The record of a file that was taken in."""
        with self._db.read() as session:
            return session.get(ReplyFile, digest)

    def events(self, body: bytes) -> tuple[str, list[dict[str, Any]], int]:
        """The sender of a file, its answers as events, and how many were passed over.

        Raises:
            NotUsable: torn, foreign, against its guide, out of balance, or about nothing of ours.
        """
        try:
            text = body.decode("ascii")
        except UnicodeDecodeError:
            raise NotUsable("it is no X12 interchange") from None
        answers = read(text, self._zone)
        with self._db.read() as session:
            found = [
                one
                for number, entry in enumerate(answers.entries, start=1)
                for one in self._of(session, answers, entry, number)
            ]
            ours = [event for event in found if self._is_ours(session, event["data"]["control_number"])]
        if not ours:
            raise NotUsable(NONE_OF_OURS)
        return answers.sender, ours, len(found) - len(ours)

    def take(self, body: bytes, now: datetime, feed: str | None = None, allowed: frozenset[str] | None = None) -> Taken:
        """Take a file in, durably. A crash half-way is harmless: taken again, what was stored answers as a duplicate.

        Args:
            feed: the authenticated sender, where one is known; else the sender that the file names.
            allowed: the facilities the sender may write for; None means all of them.

        Raises:
            NotUsable: as `events`.
        """
        sender, events, passed_over = self.events(body)
        receipts, beyond = [], 0
        for event in events:
            try:
                receipts.append(receive(self._db, self._keys, event, now, feed or f"/x12/{sender}", allowed=allowed))
            except NotAllowed as error:
                receipts.append(ReceiptResult(None, None, Disposition.INVALID, (str(error),)))
                beyond += 1
        digest = self.digest(body)
        with self._db.write() as session:
            if session.get(ReplyFile, digest) is None:
                session.add(ReplyFile(digest=digest, taken_at=now, replies=len(receipts)))
            resolve(session, alerts.reply_file_refused(digest).key, now)
        return Taken(tuple(receipts), passed_over, beyond)

    def moved(self, digest: str, now: datetime) -> None:
        """The file left its door: the same content again is a copy."""
        with self._db.write() as session:
            session.get_one(ReplyFile, digest).moved_at = now

    @property
    def _zone(self) -> tzinfo:
        return self._site().facilities[0].zone

    def _of(self, session: Session, answers: Answers, entry: Entry, number: int) -> Iterator[dict[str, Any]]:
        """The events of an entry: one for each claim it answers."""
        for control in [entry.control] if entry.control else self._controls(session, answers, entry):
            yield self._event(answers, entry, number, control)

    def _event(self, answers: Answers, entry: Entry, number: int, control: str) -> dict[str, Any]:
        """Money is known by its transfer, whichever file brings it; an acknowledgement by its file and place.

        So a remittance that comes a second time, from the payer and from the clearing house, is counted once.
        """
        if entry.on is not None:
            source, name = f"/x12/835/{entry.payer}", entry.reference
            moment = datetime.combine(entry.on, time(0), self._zone)
        else:
            source, moment = f"/x12/{answers.sender}", answers.made
            name = f"{answers.number}/{answers.made:%Y%m%d%H%M}/{number}/{control}"
        return {
            "specversion": "1.0",
            "id": name,
            "source": source,
            "subject": control,
            "type": entry.type,
            "time": moment.isoformat(),
            "data": {"control_number": control, **entry.data},
        }

    def _controls(self, session: Session, answers: Answers, entry: Entry) -> Sequence[str]:
        """The claims of the interchange that is answered: the one whose transaction is named, or all of them."""
        rows = sent_in(session, answers.sender, entry.interchange, "shadow" if answers.test else "live")
        placed = [row for row in rows if row.set_number == entry.place]
        sent = [row.control_number for row in (placed if len(rows) > 1 and entry.place else rows)]
        if entry.named and not set(entry.named) & set(sent):
            return entry.named
        if not sent:
            raise NotUsable(ANOTHER_INTERCHANGE)
        return sent

    def _is_ours(self, session: Session, number: str) -> bool:
        """Where files of the whole house come, most claims in them are other systems'; else every answer is for us."""
        return not self._site().whole_house_remittances or knows_claim(session, self._keys, number)
