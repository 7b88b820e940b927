"""The part of a decision that a workflow sees: keys, moments and hashes. Plain data, no rule, no identity."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Note(_Message):
    """The update that notifies an encounter of a new fact. `key` is the HMAC of source and id, and the update's id."""

    key: str
    type: str
    sequence: int


class Receipt(_Message):
    """The encounter has noted the fact."""

    sequence: int
    noted: int


class ClaimIntent(_Message):
    """A claim that is due. `content` is the hash of what it would bill."""

    letter: str
    ordinal: int
    content: str

    @property
    def key(self) -> str:
        return f"{self.letter}/{self.ordinal}"


class AlertIntent(_Message):
    key: str
    severity: str
    since: datetime


class Closure(_Message):
    """How the encounter ended."""

    outcome: str
    at: datetime


class Plan(_Message):
    """Intent keys, the next deadline and the digest of the rulebook they were decided with."""

    sequence: int
    decided_at: datetime
    stage: str
    product: str
    payer_class: str
    holds: tuple[str, ...]
    hold_kinds: tuple[str, ...]
    alerts: tuple[AlertIntent, ...]
    claims: tuple[ClaimIntent, ...]
    custody_content: str
    deadline: datetime | None
    deadline_title: str | None
    details: str
    rulebook_digest: str
    closure: Closure | None
    undecided: bool = False
    """The decision failed: the plan repeats what is shown and done, and asks for the decision again."""


class EncounterStart(_Message):
    """Input of `CarTEncounter`; carried over continue-as-new."""

    encounter: str
    noted: int = 0
    carried_claims: dict[str, str] = {}
    carried_alerts: tuple[str, ...] = ()
    carried_custody: str = ""
    carried_plan: Plan | None = None


class Question(_Message):
    """Input of everything that acts on a plan: facts up to a sequence, at the workflow's time.

    `undecided`: the decision on these facts failed, so the plan was not made of it.
    """

    encounter: str
    up_to_sequence: int
    now: datetime
    undecided: bool = False


class Carried(_Message):
    """What a run of an encounter did and shows so far: the last decided plan, and by key what was carried out.

    `failures`: decisions that failed one after another.
    """

    plan: Plan | None = None
    claims: dict[str, str] = {}
    custody: str = ""
    failures: int = 0


class DecisionQuestion(Question):
    """Input of `decide`."""

    carried: Carried = Carried()


class Moment(_Message):
    """The workflow's time, for work outside a single encounter."""

    now: datetime


class WatchReport(_Message):
    """What one run of the watch changed."""

    opened: int
    resolved: int


class EscalationReport(_Message):
    """The open alerts and messages after a run of the alert escalation, and the next moment it must run."""

    escalated: int = 0
    queued: int = 0
    open: int = 0
    standing: int = 0
    waiting: int = 0
    dead: int = 0
    due: datetime | None = None
    due_title: str = ""


class ClaimQuestion(_Message):
    """Input of the claim activities."""

    encounter: str
    letter: str
    ordinal: int
    up_to_sequence: int
    now: datetime


class ClaimMoment(_Message):
    """Input of the activities that follow a claim after its emission, at the claim's own time."""

    encounter: str
    letter: str
    ordinal: int
    now: datetime


class ClaimFollowUp(_Message):
    """The status of a claim: whether it goes out now, and the next moment to check it again.

    `again`: what the payer had is voided; ask for the claim of the facts up to this sequence, which may be due again.
    """

    state: str
    version: int
    send: bool = False
    due: datetime | None = None
    due_title: str | None = None
    settled: bool = False
    alerts: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    again: int | None = None


class ClaimStart(_Message):
    """Input of `ClaimLifecycle`; carried over continue-as-new. `sequence` over 0: the claim was built before."""

    encounter: str
    letter: str
    ordinal: int
    sequence: int = 0
    built: str = ""


class ClaimBuilt(_Message):
    """The result of building a claim: `state` is emitted, held or withdrawn."""

    state: str
    version: int
    content: str
    errors: tuple[str, ...] = ()
