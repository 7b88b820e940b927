"""The view of an encounter: what the decision showed, as JSON for the API, the board and the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from domain.decision.model import Decision
from domain.encounter.model import Hold

_JSON: TypeAdapter[Any] = TypeAdapter(Any)


_NOT_SHOWN = frozenset({"key", "met", "enforcement", "alert"})
"""Fields of a hold's requirement that follow from its id and from the hold itself."""


def view_of(decision: Decision) -> dict[str, Any]:
    """Return gates, holds, milestones, deadlines and what claims wait for, as JSON for readers."""
    body = {
        "stage": decision.stage,
        "cleared": sorted(stage.value for stage in decision.cleared),
        "gates": [asdict(gate) | {"open": gate.open} for gate in decision.gates],
        "holds": [_hold(hold) for hold in decision.holds],
        "milestones": [asdict(milestone) for milestone in decision.milestones],
        "deadlines": [asdict(deadline) for deadline in decision.deadlines],
        "advisories": list(decision.advisories),
        "outcome": decision.outcome,
        "vein_to_vein_days": decision.vein_to_vein_days,
        "toxicity": decision.toxicity,
        "claims_waiting": [
            {"claim": claim.key, "waiting_for": list(claim.waiting_for), "total": str(claim.total)}
            for claim in decision.claims
            if not claim.ready
        ],
        "unbilled": [
            {"letter": claim.letter, "total": str(claim.total), "through": claim.statement_through.isoformat()}
            for claim in decision.claims
            if not claim.ready
        ],
        "edition": decision.edition,
        "rulebook_digest": decision.rulebook_digest,
    }
    plain: dict[str, Any] = _JSON.dump_python(body, mode="json")
    return plain


def _hold(hold: Hold) -> dict[str, Any]:
    """Return a hold with its requirement, under the names of the API."""
    required = {name: value for name, value in asdict(hold.requirement).items() if name not in _NOT_SHOWN}
    events = required.pop("evidence")
    own = {"id": hold.id, "gate": hold.gate, "scope": hold.scope, "override": hold.override, "events": events}
    return own | required
