"""What should be: the answer of the domain to the facts, as plain data.

`Decision` is whole and stays in the activities; `workflows.messages` holds the few keys of it that a workflow sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.billing.model import Claim
from domain.events.base import Stage

HoldKind = Literal["authorization", "claim", "data", "eligibility", "identity", "product", "readiness", "site_of_care"]
"""What a hold is about; of a gate's requirement any but `claim`."""


class Severity(StrEnum):
    """Of an alert: critical (patient, product or whole claim at stake), warning, info."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Enforcement(StrEnum):
    """What an unmet requirement does (corrections D)."""

    HOLD = "hold"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Override:
    """A signed decision to go on in spite of a hold. The signer is named by the event, never here."""

    role: str
    event: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a gate asks for, judged for one day.

    Attributes:
        key: stable within the encounter, e.g. `readiness.fact.apheresis_facility`.
        met: the facts satisfy it on the day.
        missing: what is missing, in plain words without any value of a fact.
        rule: id of the rulebook row that asks for it.
    """

    key: str
    kind: HoldKind
    met: bool
    enforcement: Enforcement
    owner: str
    title: str
    missing: str
    fix: str
    rule: str
    citation: str
    denial: int | None = None
    releases_on: tuple[str, ...] = ()
    overridable: bool = True
    layer: str | None = None
    evidence: tuple[str, ...] = ()
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A stage's entry, judged for the day of its service. Open only when nothing that holds is unmet."""

    stage: Stage
    on: date
    requirements: tuple[Requirement, ...]
    overridden: frozenset[str] = frozenset()

    @property
    def unmet(self) -> tuple[Requirement, ...]:
        return tuple(r for r in self.requirements if not r.met and r.enforcement is not Enforcement.OFF)

    @property
    def holding(self) -> tuple[Requirement, ...]:
        return tuple(r for r in self.unmet if r.enforcement is Enforcement.HOLD and r.key not in self.overridden)

    @property
    def open(self) -> bool:
        return not self.holding


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that must be cured before the encounter or a claim goes on.

    `scope` is `encounter`, or `claim:<letter>/<ordinal>`. A hold that is overridden stays on record with its override.
    """

    id: str
    kind: HoldKind
    gate: str
    scope: str
    owner: str
    title: str
    missing: str
    fix: str
    rule: str
    citation: str
    denial: int | None = None
    releases_on: tuple[str, ...] = ()
    overridable: bool = True
    override: Override | None = None
    layer: str | None = None
    events: tuple[str, ...] = ()

    @property
    def stands(self) -> bool:
        return self.override is None


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition somebody must act on. `key` is its dedupe key within the encounter; `since` when it became true."""

    key: str
    kind: str
    severity: Severity
    owner: str
    title: str
    action: str
    citation: str
    rule: str
    since: datetime
    acknowledge_hours: int
    denial: int | None = None
    layer: str | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something should have happened. When it passes unmet, the alert `kind` opens.

    `due` already contains the grace that a late feed has (design section 3).
    """

    key: str
    kind: str
    due: datetime
    stage: Stage
    title: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CustodyEntry:
    """One content record of the chain of identity: what is hashed, without the link.

    Attributes:
        key: idempotency key (the event id, with the corrections that apply).
        content: JSON-ready, staff as pseudonyms, no name of a person.
    """

    key: str
    occurred: datetime
    content: dict[str, object]


@dataclass(frozen=True, slots=True)
class Milestone:
    """A dated step on the timeline that people look at: `name` is a stage event, `on` its moment."""

    name: str
    at: datetime
    planned: bool
    events: tuple[str, ...] = ()


class Outcome(StrEnum):
    """How an encounter ends."""

    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"
    PRODUCT_LOST = "product_lost"


@dataclass(frozen=True)
class Decision:
    """The whole answer for one set of facts, one rulebook and one moment.

    `toxicity` is the highest documented grade of each syndrome after the infusion, None where it was not assessed; for counting.
    """

    stage: Stage
    gates: tuple[Gate, ...]
    holds: tuple[Hold, ...]
    alerts: tuple[Alert, ...]
    deadlines: tuple[Deadline, ...]
    claims: tuple[Claim, ...]
    custody: tuple[CustodyEntry, ...]
    milestones: tuple[Milestone, ...]
    product: str
    payer: str
    payer_class: str
    outcome: Outcome | None
    rulebook_digest: str
    edition: str
    advisories: tuple[str, ...] = field(default=())
    vein_to_vein_days: int | None = None
    toxicity: Mapping[str, int | None] | None = None

    @property
    def next_deadline(self) -> Deadline | None:
        return min(self.deadlines, key=lambda d: (d.due, d.key), default=None)

    @property
    def cleared(self) -> frozenset[Stage]:
        """The stages whose gate is open, and that of every stage before them: nothing is cleared behind a closed gate."""
        order = tuple(Stage)
        closed = min((order.index(gate.stage) for gate in self.gates if not gate.open), default=len(order))
        return frozenset(gate.stage for gate in self.gates if order.index(gate.stage) < closed)
