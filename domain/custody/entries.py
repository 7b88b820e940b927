"""The chain of identity and custody as content: one entry for each transfer, correction and disposition (corrections G).

Entries carry `by`, `second_verifier`, `verified_by` and `signer` as the sender gave them; the activity that writes them
replaces staff by pseudonyms before anything is hashed or stored. The key of an entry is its event. A corrected event keeps
its key and records why and by whom, so that a chain with the original appends the correction after it. A retracted
event is marked as retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.encounter.facts import Fact, Facts
from domain.encounter.record import attested
from domain.events import EventData, care, cells, cutover
from domain.events.governance import CorrectionMade

CHAIN = (
    cells.ApheresisCompleted,
    cells.CustodyRecorded,
    cells.ManufacturingFailed,
    cells.ManufacturingDelayed,
    cells.ProductReleased,
    cells.DispositionSigned,
    care.InfusionStarted,
    care.InfusionStopped,
    care.InfusionCompleted,
    cutover.EncounterImported,
)
STEPS = {
    cells.ApheresisCompleted: "collected",
    cells.ManufacturingFailed: "manufacturing_failed",
    cells.ManufacturingDelayed: "manufacturing_delayed",
    cells.ProductReleased: "released",
    cells.DispositionSigned: "disposition_signed",
    care.InfusionStarted: "infusion_started",
    care.InfusionStopped: "infusion_stopped",
    care.InfusionCompleted: "infusion_completed",
    cutover.EncounterImported: "taken_over",
}


def custody(facts: Facts) -> tuple[CustodyEntry, ...]:
    """The chain in clinical order; the same facts give the same chain in any order of arrival."""
    corrections = {fact.event_id: fact for fact in facts.of(CorrectionMade)}
    imported, taken = attested(facts), facts.last(cutover.EncounterImported)
    entries = [
        _marked(_entry(fact, corrections, False), taken if fact.event_id in imported else None)
        for fact in facts.all
        if isinstance(fact.data, CHAIN)
    ]
    entries += [_entry(fact, corrections, True) for fact in facts.retracted if isinstance(fact.data, CHAIN)]
    return tuple(sorted(entries, key=lambda entry: (entry.occurred, entry.key)))


def _entry(fact: Fact[EventData], corrections: dict[str, Fact[CorrectionMade]], retracted: bool) -> CustodyEntry:
    content: dict[str, Any] = {"event": fact.event_id, "type": fact.type, "at": fact.occurred.isoformat()}
    if retracted:
        content["step"] = "retracted"
    else:
        content |= {"step": _step(fact.data), **_content(fact.data)}
    if fact.corrected_by:
        last = corrections[fact.corrected_by[-1]]
        content |= {"corrected_by": list(fact.corrected_by), "reason": last.data.reason, "signer": last.data.signer}
    return CustodyEntry(fact.event_id, fact.occurred, content)


def _marked(entry: CustodyEntry, taken: Fact[cutover.EncounterImported] | None) -> CustodyEntry:
    """Marks a record from before a cutover with who attested it and the event of the import."""
    if taken is None:
        return entry
    mark = {"attested_by": taken.data.attested_by, "attested_in": taken.event_id, "attested_from": taken.data.system}
    return CustodyEntry(entry.key, entry.occurred, entry.content | mark)


def _step(data: EventData) -> str:
    if isinstance(data, cells.CustodyRecorded):
        return data.step.value
    return next(step for model, step in STEPS.items() if isinstance(data, model))


def _content(data: EventData) -> dict[str, Any]:
    """The scanned identifiers and the condition; the signer of a disposition is in `by`."""
    if isinstance(data, cutover.EncounterImported):
        return {"by": data.attested_by, "role": data.role, "system": data.system, "stage": data.stage.value}
    body = data.model_dump(mode="json", exclude_none=True, exclude={"at", "step"})
    if "signer" in body:
        body["by"] = body.pop("signer")
    return body


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
