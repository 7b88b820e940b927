"""The decision: the domain's answer to the facts, as plain data.

A `Decision` stays in the activities; `workflows.messages` has the few keys of it that a workflow sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.alerts.model import Alert
from domain.billing.model import Claim
from domain.custody.entries import CustodyEntry
from domain.encounter.model import Deadline, Gate, Hold, Milestone, Outcome
from domain.events.base import Stage


@dataclass(frozen=True)
class Decision:
    """The complete answer for one set of facts, one rulebook and one moment.

    `toxicity` is the highest documented grade of each syndrome after the infusion, None if not assessed; for counting.
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
        """The stages whose gate and all earlier gates are open."""
        order = tuple(Stage)
        closed = min((order.index(gate.stage) for gate in self.gates if not gate.open), default=len(order))
        return frozenset(gate.stage for gate in self.gates if order.index(gate.stage) < closed)
