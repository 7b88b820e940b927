"""The decision service: facts from the store, rulebook and site from their files, one pure answer."""

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
"""Decisions kept in memory: the activities after one `decide` need the same decision."""

Key = tuple[object, ...]


class DecisionService:
    """Returns decisions. The same facts, rulebook, site and moment give the same decision."""

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
        """Return the encounter's facts, for an activity to load once."""
        with self.store.read() as unit:
            return unit.facts(encounter)

    def answer(self, question: Question, own: EncounterFacts | None = None) -> Decision:
        return self.decision(question.encounter, question.up_to_sequence, question.now, own)

    def decision(
        self, encounter: str, up_to_sequence: int, now: datetime, own: EncounterFacts | None = None
    ) -> Decision:
        """Return the complete decision on the facts up to a sequence; a recent one is returned from memory.

        Args:
            own: the encounter's facts, at least those up to the sequence, if they are loaded already.

        Raises:
            RulebookError, SiteError: a configuration file is not consistent.
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
"""The facts that can change the hash of a claim."""


def claim_marks(keys: Keyring, own: EncounterFacts, up_to_sequence: int, claims: Mapping[str, str]) -> dict[str, str]:
    """Return a hash by claim key of its payer responses and of a corrected insured.

    It changes when a response arrives or is corrected and when a later referral names another insured. The encounter's
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
    """Return a keyed hash of the insured in the newest referral, if it differs from the first."""
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
