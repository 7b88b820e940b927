"""Asking the domain: facts from the store, rulebook and site from their files, one pure answer."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.billing.submission.responses import RESPONSES, PayerResponse
from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.events.access import ReferralReceived
from domain.events.governance import CorrectionMade
from store.config import ConfigCache
from store.engine import Database
from store.facts import EncounterFacts, load_holders
from store.keys import Keyring
from store.shared_identifiers import shared_identifiers
from store.unit import Store
from workflows.messages import Question

REMEMBERED = 64
"""Decisions kept in memory: the activities that follow one `decide` ask the same question again."""

Key = tuple[object, ...]


class DecisionService:
    """Answers questions. The same facts, rulebook, site and moment give the same decision."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._recent: OrderedDict[Key, Decision] = OrderedDict()

    @property
    def db(self) -> Database:
        return self.store.db

    @property
    def keys(self) -> Keyring:
        return self.store.keys

    @property
    def config(self) -> ConfigCache:
        return self.store.config

    def facts(self, encounter: str) -> EncounterFacts:
        """The encounter's facts, for an activity to load once."""
        with self.store.read() as unit:
            return unit.facts(encounter)

    def answer(self, question: Question, own: EncounterFacts | None = None) -> Decision:
        return self.decision(question.encounter, question.up_to_sequence, question.now, own)

    def decision(
        self, encounter: str, up_to_sequence: int, now: datetime, own: EncounterFacts | None = None
    ) -> Decision:
        """The whole decision on the facts up to a sequence. One that was made lately reads nothing.

        Args:
            own: the encounter's facts, where they are loaded already.

        Args:
            own: the encounter's facts, at least those up to the sequence, where they are loaded already.

        Raises:
            RulebookError, SiteError: a file of the configuration does not fit.
        """
        rules, site = self.config.rules(), self.config.site()
        key = (encounter, up_to_sequence, now, rules.digest, id(site))
        with self._lock:
            if key in self._recent:
                return self._recent[key]
        with self.store.read() as unit:
            known = (own or unit.facts(encounter)).up_to(up_to_sequence)
            holders = load_holders(unit.session, unit.keys)
            shared = shared_identifiers(unit.session, unit.keys, encounter, known)
        answer = decide(known.folded, site, rules, now, holders, shared)
        with self._lock:
            self._recent[key] = answer
            while len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return answer


MARKED = (*RESPONSES, CorrectionMade, ReferralReceived)
"""What can change the mark of a claim."""


def claim_marks(keys: Keyring, own: EncounterFacts, up_to_sequence: int, claims: Mapping[str, str]) -> dict[str, str]:
    """A hash of what counts beside the content of each claim, by claim key: its payer responses, and a corrected insured.

    It changes when a response comes or is corrected and when a later referral names another insured; the encounter's
    workflow then wakes the claim's.

    Args:
        claims: the claim key of each control number.
    """
    known = [type(fact.data) for fact in own.up_to(up_to_sequence).own if isinstance(fact.data, MARKED)]
    if len(known) <= 1 and all(one is ReferralReceived for one in known):
        return {}
    by_claim: dict[str, list[PayerResponse]] = {}
    for response in own.responses:
        if response.control in claims:
            by_claim.setdefault(claims[response.control], []).append(response)
    named = _corrected_insured(keys, own)
    marks = {claim: _mark(mine) for claim, mine in by_claim.items()}
    return {claim: marks.get(claim, "") + named for claim in set(claims.values()) if claim in marks or named}


def _corrected_insured(keys: Keyring, own: EncounterFacts) -> str:
    """A keyed hash of who the newest referral names, where that is another than the first one named."""
    first = next((fact.data for fact in own.own if isinstance(fact.data, ReferralReceived)), None)
    newest = own.folded.last(ReferralReceived)
    if first is None or newest is None:
        return ""
    one, other = _named(first), _named(newest.data)
    return "" if one == other else keys.digest("claim named", other)


def _mark(responses: Sequence[PayerResponse]) -> str:
    return hashlib.sha256(repr(responses).encode()).hexdigest()


def _named(referral: ReferralReceived) -> str:
    return f"{referral.patient.model_dump_json()}{referral.coverage.member_id}"
