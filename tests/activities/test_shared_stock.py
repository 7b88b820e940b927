"""Stock is shared: a dose charted for one patient of a center reduces the stock for the next one's gate, with corrections."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import select

from store.tables import STOCK_NOTICE, Encounter, EncounterEvent
from tests.kit.recorder import Recorder, feed, recorder

BEFORE = datetime(2026, 6, 9, 12, tzinfo=UTC)


def event(number: int, kind: str, subject: str, time: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"stock-{number}",
        "source": "urn:test:stock",
        "type": kind,
        "subject": subject,
        "time": time,
        "data": data,
    }


def dose(number: int, subject: str, time: str) -> dict[str, Any]:
    data = {
        "drug": "tocilizumab",
        "ndc": "50242-135-01",
        "dose_mg": 560,
        "wasted_mg": 0,
        "at": time,
        "indication": "crs",
        "setting": "inpatient",
        "facility": "st_mary",
    }
    return event(number, "cart.medication.administered", subject, time, data)


def missing(r: Recorder, encounter: str) -> str:
    with r.service.db.read() as session:
        upto = session.exec(select(Encounter).where(Encounter.encounter_id == encounter)).one().next_sequence - 1
    gates = r.service.decision(encounter, upto, BEFORE.replace(microsecond=len(_asked))).gates
    _asked.append(encounter)
    infusion = next(gate for gate in gates if gate.stage.value == "infusion")
    return next(one.missing for one in infusion.requirements if one.key.startswith("readiness.tocilizumab_on_hand"))


_asked: list[str] = []
"""Questions so far: each has a moment of its own, as decisions of one moment are remembered."""


def notified(r: Recorder, encounter: str) -> int:
    """How often the encounter was woken by another patient's doses."""
    with r.service.db.read() as session:
        mine = select(EncounterEvent).where(EncounterEvent.encounter_id == encounter)
        return len(session.exec(mine.where(EncounterEvent.type == STOCK_NOTICE)).all())


async def test_doses_of_another_patient_come_off_the_stock_until_they_are_retracted(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        left_out = ("cart.medication.administered", "cart.readiness.changed")
        await r.post([e for e in feed("c_mcl_outpatient_crs") if e["type"] not in left_out])
        mine = [e for e in feed("a_mcl_medicare_inpatient") if e["time"] < "2026-06-09" and e["type"] not in left_out]
        encounter = (await r.post(mine))["receipts"][0]["encounter_id"]
        report = {"facility": "st_mary", "tocilizumab_doses": 3, "icu_backup": True}
        await r.post(event(1, "cart.readiness.changed", "st_mary", "2026-06-07T08:00:00-04:00", report))
        assert missing(r, encounter) == ""
        await r.post([dose(2, "ORD-C", "2026-06-08T08:00:00-04:00"), dose(3, "ORD-C", "2026-06-08T16:00:00-04:00")])
        assert missing(r, encounter).endswith("2 of 3 reported doses were given since")
        assert notified(r, encounter) == 2, (
            "a gate that closes by another patient's dose must not wait for its own next fact"
        )
        undo = {"of": {"source": "urn:test:stock", "id": "stock-3"}, "reason": "wrong patient", "signer": "staff-1"}
        await r.post(event(4, "cart.correction.made", "ORD-C", "2026-06-08T18:00:00-04:00", undo | {"retract": True}))
        assert missing(r, encounter) == ""
        assert notified(r, encounter) == 3


async def test_only_a_dose_that_counts_against_the_center_wakes_its_other_patients(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        await r.post([e for e in feed("c_mcl_outpatient_crs") if e["type"] != "cart.medication.administered"])
        mine = [e for e in feed("a_mcl_medicare_inpatient") if e["time"] < "2026-06-09"]
        encounter = (await r.post(mine))["receipts"][0]["encounter_id"]
        away, uncounted = (dose(number, "ORD-C", "2026-06-08T08:00:00-04:00") for number in (1, 2))
        away["data"]["facility"] = "another_center"
        uncounted["data"]["drug"] = "dexamethasone"
        await r.post([away, uncounted])
        assert notified(r, encounter) == 0
        move = {"of": {"source": "urn:test:stock", "id": "stock-1"}, "reason": "wrong place", "signer": "staff-1"}
        right = away["data"] | {"facility": "st_mary"}
        corrected = event(
            3, "cart.correction.made", "ORD-C", "2026-06-08T18:00:00-04:00", move | {"replacement": right}
        )
        await r.post([corrected, corrected])
        assert notified(r, encounter) == 1
