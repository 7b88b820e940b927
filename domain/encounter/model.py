"""What gates and stages return: requirements, gates, holds, deadlines, milestones, outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.events.base import Stage

HoldKind = Literal["authorization", "claim", "data", "eligibility", "identity", "product", "readiness", "site_of_care"]
"""The subject of a hold; of a gate's requirement any but `claim`."""


class Enforcement(StrEnum):
    """What an unmet requirement does (corrections D)."""

    HOLD = "hold"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Override:
    """A signed exception to a hold. The event names the signer; this does not."""

    role: str
    event: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a gate or a claim requires, judged for one day.

    Attributes:
        key: stable within the encounter, e.g. `readiness.fact.apheresis_facility`.
        met: the facts satisfy it on the day.
        title: what is required, true when met.
        missing: what is missing, as a noun phrase without any value of a fact.
        rule: id of the rulebook row that requires it.
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
    """A stage's entry, judged for the day of its service. Open only when every requirement that holds is met."""

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
    """An unmet requirement that stops the encounter or a claim; overridden, it stays on record with its override.

    Attributes:
        gate: the stage whose gate requires it, or `claim`.
        scope: `encounter`, or `claim:<letter>/<ordinal>`.
    """

    id: str
    gate: str
    scope: str
    requirement: Requirement
    override: Override | None = None

    @property
    def is_open(self) -> bool:
        return self.override is None


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something should have happened. When it passes unmet, the alert `kind` opens.

    `due` includes the grace period of late feeds (design section 3).
    """

    key: str
    kind: str
    due: datetime
    stage: Stage
    title: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Milestone:
    """A dated step on the timeline: `name` is a stage event, `on` its moment."""

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
