"""Asking the domain: facts from the store, rows from the shelf, one pure answer."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select

from domain.billing.submission.responses import REPLIES, PayerResponse
from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.events import EventData
from domain.events.access import ReferralReceived
from domain.events.governance import CorrectionMade
from store.config import ConfigCache
from store.engine import Database
from store.facts import EncounterFacts, doses_given, holder_facts, load_own
from store.keys import Keyring
from store.shared_identifiers import shared_identifiers
from store.tables import ClaimVersion, EncounterEvent
from workflows.messages import Question

REMEMBERED = 64
"""Decisions kept in memory: the activities that follow one `decide` ask the same question again."""


class DecisionService:
    """Answers questions. The same facts, rulebook, site and moment give the same decision."""

    def __init__(self, db: Database, keys: Keyring, config: ConfigCache) -> None:
        self.db, self.keys, self.config = db, keys, config
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[object, ...], Decision] = OrderedDict()

    def decision(
        self, encounter: str, up_to_sequence: int, now: datetime, own: EncounterFacts | None = None
    ) -> Decision:
        """The whole decision on the facts up to a sequence.

        Args:
            own: the encounter's facts, at least those up to the sequence, where they are loaded already.

        Raises:
            RulebookError, SiteError: a file on the shelf does not hold together.
        """
        rules, site = self.config.rules(), self.config.site()
        key = (encounter, up_to_sequence, now, rules.digest, id(site))
        with self._lock:
            if key in self._recent:
                return self._recent[key]
        with self.db.read() as session:
            known = own.up_to(up_to_sequence) if own else load_own(session, self.keys, encounter, up_to_sequence)
            events, holders = list(known.own), holder_facts(session, self.keys)
            holders = [*holders, *doses_given(session, self.keys, holders)]
            shared = shared_identifiers(session, self.keys, encounter, events)
        answer = decide(fold(events), site, rules, now, holders, shared)
        with self._lock:
            self._recent[key] = answer
            while len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return answer

    def answer(self, question: Question, own: EncounterFacts | None = None) -> Decision:
        return self.decision(question.encounter, question.up_to_sequence, question.now, own)

    def facts(self, encounter: str) -> EncounterFacts:
        """The encounter's facts, all of them: for an activity to load once."""
        with self.db.read() as session:
            return load_own(session, self.keys, encounter)


def claim_marks(
    session: Session, keys: Keyring, encounter: str, up_to_sequence: int, own: EncounterFacts
) -> dict[str, str]:
    """A hash of what stands beside the content of each claim, by claim key: the replies to it, and a corrected insured.

    It changes when a reply comes or is corrected and when a later referral names another insured; the encounter's workflow
    then wakes the claim's.
    """
    asked = (*REPLY_TYPES, CorrectionMade.event_type, ReferralReceived.event_type)
    counted = dict(
        session.exec(
            select(EncounterEvent.type, func.count())
            .where(
                EncounterEvent.encounter_id == encounter,
                EncounterEvent.sequence <= up_to_sequence,
                col(EncounterEvent.type).in_(asked),
            )
            .group_by(EncounterEvent.type)
        ).all()
    )
    if sum(counted.values()) == counted.get(ReferralReceived.event_type, 0) <= 1:
        return {}
    rows = session.exec(select(ClaimVersion).where(ClaimVersion.encounter_id == encounter)).all()
    claims = {row.control_number: f"{row.letter}/{row.ordinal}" for row in rows if row.control_number}
    by_claim: dict[str, list[PayerResponse]] = {}
    for reply in own.responses:
        if reply.control in claims:
            by_claim.setdefault(claims[reply.control], []).append(reply)
    named = _corrected_insured(keys, own.own)
    marks = {claim: _mark(mine) for claim, mine in by_claim.items()}
    return {claim: marks.get(claim, "") + named for claim in set(claims.values()) if claim in marks or named}


REPLY_TYPES = tuple(model.event_type for model in REPLIES)


def _corrected_insured(keys: Keyring, own: Sequence[Fact[EventData]]) -> str:
    """A keyed hash of who the newest referral names, where that is another than the first one named."""
    first = next((fact for fact in own if isinstance(fact.data, ReferralReceived)), None)
    newest = fold(own).last(ReferralReceived)
    if first is None or newest is None or not isinstance(first.data, ReferralReceived):
        return ""
    one, other = _named(first.data), _named(newest.data)
    return "" if one == other else keys.digest("claim named", other)


def _mark(heard: Sequence[PayerResponse]) -> str:
    return hashlib.sha256(repr(heard).encode()).hexdigest()


def _named(referral: ReferralReceived) -> str:
    return f"{referral.patient.model_dump_json()}{referral.coverage.member_id}"
