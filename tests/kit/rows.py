"""Rows of the store, made whole where a test names only what it looks at."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from store.tables import AlertRecord, ClaimVersion
from tests.kit import events as e


def alert_row(alert_id: str = "alr_1", *, now: datetime = e.NOW, **changes: Any) -> AlertRecord:
    """An open warning for the coordinator, to be acknowledged within four hours."""
    values: dict[str, Any] = {
        "encounter_id": None,
        "key": alert_id,
        "kind": "evidence_missing",
        "severity": "warning",
        "owner": "coordinator",
        "title": "A document is missing",
        "action": "File it.",
        "citation": "G47",
        "rule": "alerts.evidence_missing",
        "since": now,
        "opened_at": now,
        "acknowledge_by": now + timedelta(hours=4),
    }
    return AlertRecord(alert_id=alert_id, **(values | changes))


def claim_row(encounter: str, letter: str, ordinal: int, version: int, state: str) -> ClaimVersion:
    document = json.loads(
        json.dumps(
            {
                "letter": letter,
                "ordinal": ordinal,
                "form": "UB-04",
                "type_of_bill": "131",
                "place_of_service": None,
                "payer": "medicare",
                "facility": "st_mary",
                "setting": "outpatient",
                "statement_from": "2026-03-02",
                "statement_through": "2026-03-02",
                "ready": True,
                "waiting_for": [],
                "admission_id_event": None,
                "fields": [],
                "lines": [
                    {
                        "number": 1,
                        "service": "collection",
                        "revenue_code": "0871",
                        "hcpcs": "38225",
                        "modifiers": [],
                        "units": 1,
                        "unit_of_measure": "UN",
                        "charge": "100.00",
                        "date_of_service": "2026-03-02",
                        "ndc": None,
                        "ndc_quantity": None,
                        "ndc_unit": None,
                        "description": "collection",
                        "fields": {"hcpcs": "FL 44"},
                        "diagnosis_pointers": [],
                        "documented_mg": None,
                        "wasted_mg": None,
                        "reason": {"rule": "windows.readmission", "citation": "G1", "events": ["evt_1"], "text": ""},
                    }
                ],
                "diagnoses": [],
                "procedures": [],
                "codes": [],
                "attachments": [],
                "drg": None,
                "total": "100.00",
                "remarks": "",
                "advisories": [],
                "folded": [],
                "edits": [
                    {
                        "id": "x",
                        "severity": "error" if state == "held" else "warning",
                        "field": "FL 44",
                        "message": "m",
                        "fix": "f",
                        "citation": "G1",
                        "denial": None,
                        "owner": "biller",
                        "releases_on": [],
                    }
                ],
                "edition": "current",
                "rulebook_digest": "d",
            }
        )
    )
    return ClaimVersion(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=version,
        content_hash="h",
        state=state,
        form="UB-04",
        payer="medicare",
        total=100,
        document=document,
        sequence=1,
        rulebook_digest="d",
        edition="current",
        built_at=e.NOW,
    )
