"""Names that cross process borders: task queue, workflow ids, workflow types."""

from __future__ import annotations

from datetime import timedelta

TASK_QUEUE = "cart-encounter"
ENCOUNTER_TYPE = "CarTEncounter"
CLAIM_TYPE = "ClaimLifecycle"
CLAIM_SIGNAL = "facts_changed"
ALERT_ESCALATION_TYPE = "AlertDesk"
ALERT_ESCALATION_ID = "alert-desk"
ALERT_ESCALATION_SIGNAL = "alerts_changed"
WATCH_TYPE = "CertificationWatch"
WATCH_SCHEDULE = "certification-watch"
WATCH_EVERY = timedelta(hours=1)


def encounter_workflow_id(encounter: str) -> str:
    """One workflow per patient and product; the id is opaque."""
    return f"cart-encounter/{encounter}"


def claim_workflow_id(encounter: str, letter: str, ordinal: int) -> str:
    """One workflow per claim; payment outlives the encounter."""
    return f"claim/{encounter}/{letter}/{ordinal}"
