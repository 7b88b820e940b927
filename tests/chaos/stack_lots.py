"""A lot on a running installation: patients come and go, faults strike meanwhile, and at the end everybody is as undisturbed.

Each story runs once before the first fault; that is what all others are compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import sys
import time
from collections import Counter
from typing import Any

from sqlmodel import col, select
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from app.cli.verify import verify_store
from store.chain import records_in_effect
from store.engine import Database
from store.queries.custody import chain_links
from store.tables import (
    NOTICES,
    AlertDelivery,
    AlertRecord,
    ClaimVersion,
    Encounter,
    EncounterEvent,
    Inbox,
    Quarantine,
    ReplyFile,
    Transmission,
)
from tests.chaos import set_back
from tests.chaos.cases import may_mount
from tests.chaos.installations import Embedded, Installation, Separate
from tests.chaos.outcome import Filed, alerts_shown, claim_shown, custody_shown, doubled, encounter_shown, filed
from tests.chaos.patients import ALL_STORIES, PATIENCE, Patient
from tests.chaos.stack_kinds import STACK_KINDS, StackKind
from tests.kit.waiting import eventually
from workflows.names import claim_workflow_id, encounter_workflow_id

FAULTS = 20
STORIES_A_LOT = 4
SET_BACK = (19, 21)
"""Lots with stories alone that can be sent again as a whole: the product's database is set back there, too."""
SETTLES = 200.0
"""Seconds until everything must be as undisturbed: a message that was refused waits up to two minutes for its next try."""
AT_ONCE = 4
"""Patients under way at the same time, so that a machine with two cores keeps up."""


def kinds_for(on: Installation) -> list[StackKind]:
    return [kind for kind in STACK_KINDS if isinstance(on, kind.where) and (may_mount() or not kind.root)]


def run_stack_lot(lot: int, seed: int, faults: int = FAULTS) -> list[dict[str, Any]]:
    """The faults of a lot; every difference found at its end stands with each of them."""
    chance = random.Random(f"{seed} stack {lot}")
    on: Embedded | Separate = Embedded() if lot % 2 else Separate()
    command = f"python -m tests.chaos.lots --seed {seed} --lots {lot} --again"
    wrong: list[str] = []
    rows: list[dict[str, Any]] = []
    try:
        on.start()
        every = [one for one in ALL_STORIES if one in set_back.TWICE or one.startswith("scenario")]
        stories = chance.sample(every if lot in SET_BACK else ALL_STORIES, STORIES_A_LOT)
        before = [Patient(on, story, 1 + number) for number, story in enumerate(stories)]
        for patient in before:
            patient.start()
        for patient in before:
            patient.join()
            assert not patient.failed, f"undisturbed: {patient.failed}"
        still = check(on, before, [])
        assert not still, f"undisturbed: {still}"
        rows, patients = _disturbed(on, chance, stories, faults, command)
        for patient in patients:
            patient.join(PATIENCE)
        wrong = [patient.failed for patient in patients if patient.failed]
        wrong += [f"patient {one.number}, {one.story}: not at its end" for one in patients if one.is_alive()]
        wrong += check(on, before, patients)
    except AssertionError as error:
        wrong.append(str(error))
    finally:
        if wrong:
            keep_logs(on, lot)
        on.close()
    for line in wrong:
        print(f"WRONG in lot {lot}: {line}")
    for row in rows:
        row["wrong"] = wrong
    return rows


def _disturbed(
    on: Embedded | Separate, chance: random.Random, stories: list[str], faults: int, command: str
) -> tuple[list[dict[str, Any]], list[Patient]]:
    rows: list[dict[str, Any]] = []
    patients: list[Patient] = []
    kinds = kinds_for(on)
    chance.shuffle(kinds)
    for number in range(faults):
        running = [one for one in patients if one.is_alive()]
        if len(running) < AT_ONCE:
            patients.append(Patient(on, stories[number % len(stories)], 100 + number))
            patients[-1].start()
        kind = kinds[number % len(kinds)]
        if kind.strike is set_back.database_older and not set_back.may_be_forgotten(on):
            kind = kinds[(number + 1) % len(kinds)]
        time.sleep(chance.uniform(0.2, 2.5))
        began = time.monotonic()
        kind.strike(on, chance)
        rows.append(
            {
                "half": on.name,
                "story": ", ".join(sorted({one.story for one in patients if one.is_alive()})),
                "kind": kind.name,
                "target": kind.target,
                "command": command,
                "wrong": [],
                "seconds": round(time.monotonic() - began, 2),
            }
        )
        print(f"  {number + 1}: {kind.name}, {kind.target}")
        sys.stdout.flush()
        with contextlib.suppress(AssertionError):
            eventually(on.answers, "ready again", 60, pause=0.2)
    return rows, patients


def check(on: Embedded | Separate, before: list[Patient], patients: list[Patient]) -> list[str]:
    """What differs from the patients before the first fault, and what is lost, doubled or crossed, once nothing moves."""
    db = Database(on.database)
    found: list[str] = []

    def as_undisturbed() -> bool:
        found[:] = differences(on, db, before, patients) if _quiet(db) else ["something still waits"]
        return not found

    with contextlib.suppress(AssertionError):
        eventually(as_undisturbed, "as undisturbed", SETTLES, pause=0.5)
    # Workers look every quarter of a minute whether the server was set back, and a minute after they found something.
    missing: list[str] = []
    with contextlib.suppress(AssertionError):
        eventually(lambda: not _noted(missing, asyncio.run(without_a_workflow(on, db))), "all run", SETTLES, pause=2)
    found += missing
    db.close()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = verify_store(on.settings(), None)
    return found + ([f"verify: {said.getvalue()}"] if code else [])


def _noted(where: list[str], found: list[str]) -> list[str]:
    where[:] = found
    return found


def differences(on: Installation, db: Database, before: list[Patient], patients: list[Patient]) -> list[str]:
    """What differs now."""
    claims = filed(on.data / "outbox")
    wrong = doubled(claims)
    shown = {one.number: shown_of(db, claims, one) for one in (*before, *patients)}
    for one in patients:
        expected = shown[next(other for other in before if other.story == one.story).number]
        wrong += [
            f"patient {one.number}, {one.story}: {key}: {expected[key]} became {shown[one.number][key]}"[:900]
            for key in expected
            if expected[key] != shown[one.number][key]
        ]
    return wrong + whole(on, db, claims, [*before, *patients])


def _quiet(db: Database) -> bool:
    """Everything is delivered, decided, written and reported."""
    with db.read() as session:
        waiting = [
            select(AlertDelivery.delivery_id).where(AlertDelivery.state == "waiting"),
            select(EncounterEvent.event_id).where(col(EncounterEvent.delivered_at).is_(None)),
            select(Transmission.control_number).where(col(Transmission.written_at).is_(None)),
            select(Encounter.encounter_id).where(Encounter.decided_sequence < Encounter.next_sequence - 1),
            select(AlertRecord.alert_id).where(AlertRecord.state != AlertRecord.told_state),
        ]
        return not any(session.exec(query.limit(1)).first() for query in waiting)


def shown_of(db: Database, claims: list[Filed], patient: Patient) -> dict[str, Any]:
    """One patient in the database and at the payers."""
    encounter = patient.encounter
    with db.read() as session:
        row = session.get_one(Encounter, encounter)
        versions = session.exec(
            select(ClaimVersion).where(ClaimVersion.encounter_id == encounter).order_by(col(ClaimVersion.version))
        ).all()
        alerts = session.exec(select(AlertRecord).where(AlertRecord.encounter_id == encounter)).all()
        links = records_in_effect(chain_links(session, encounter))
        events = session.exec(select(EncounterEvent.type).where(EncounterEvent.encounter_id == encounter)).all()
    numbers = {row.control_number for row in versions if row.control_number}
    own = [one for one in claims if one.number in numbers]
    return {
        "encounter": encounter_shown(row),
        "events": dict(sorted(Counter(one for one in events if one not in NOTICES).items())),
        "open alerts": alerts_shown(one for one in alerts if one.state != "resolved"),
        "custody": [(kind, at) for kind, at, _ in custody_shown(links)],
        "claims": claim_shown(versions),
        "payers": sorted(one.content for one in own),
        "patients in the files": len({one.record for one in own}),
    }


def whole(on: Installation, db: Database, claims: list[Filed], patients: list[Patient]) -> list[str]:
    """What holds over all patients together."""
    wrong = []
    with db.read() as session:
        events = len(session.exec(select(Inbox.event_id)).all())
        replies = session.exec(select(ReplyFile)).all()
        answers = session.exec(select(Inbox.event_id).where(col(Inbox.type).like("cart.claim.%"))).all()
        quarantined = [row.state for row in session.exec(select(Quarantine)) if row.state != "released"]
        sent = {row.control_number: row.encounter_id for row in session.exec(select(Transmission))}
        reported = session.exec(select(AlertRecord.kind).where(AlertRecord.state != "resolved")).all()
        dead = session.exec(select(AlertDelivery).where(AlertDelivery.state == "dead")).all()
    acknowledged = sum(one.sent for one in patients)
    if events - len(answers) != acknowledged:
        wrong.append(f"{acknowledged} events were acknowledged, {events - len(answers)} are in the database")
    if quarantined:
        wrong.append(f"in quarantine: {quarantined}")
    if set(sent) != {one.number for one in claims}:
        wrong.append(
            f"numbers in the database and in the files differ: {sorted(set(sent) ^ {c.number for c in claims})}"
        )
    owners: dict[str, set[str]] = {}
    for one in claims:
        owners.setdefault(one.record, set()).add(sent.get(one.number, ""))
    wrong += [f"files of one patient belong to {len(found)} encounters" for found in owners.values() if len(found) > 1]
    left = [path.name for path in (on.data / "inbox").iterdir() if path.is_file()] if replies else []
    wrong += [f"{len(left)} payer files were not imported"] if left else []
    kinds = {kind for _, kind in on.pager.got}
    wrong += [f"open and not delivered: {kind}" for kind in sorted(set(reported) - kinds)]
    wrong += [f"given up: a message about {one.change}" for one in dead]
    return wrong


async def without_a_workflow(on: Installation, db: Database) -> list[str]:
    """Open encounters, and claims with a deadline, that no run of Temporal's follows."""
    with db.read() as session:
        names = {
            encounter_workflow_id(row.encounter_id): "an open encounter"
            for row in session.exec(select(Encounter))
            if row.status == "open"
        }
        names |= {
            claim_workflow_id(
                row.encounter_id, row.letter, row.ordinal
            ): f"{row.state} {row.letter}/{row.ordinal} version "
            f"{row.version} due {row.standing['next_due']} of {row.encounter_id}"
            for row in session.exec(select(ClaimVersion))
            if row.state not in ("withdrawn", "superseded", "voided") and row.standing.get("next_due")
        }
    client = await Client.connect(on.temporal())
    wrong = []
    for name, what in names.items():
        try:
            found = (await client.get_workflow_handle(name).describe()).status
        except RPCError:
            found = None
        if found is not WorkflowExecutionStatus.RUNNING:
            wrong.append(f"no workflow runs for {what}: {found.name if found else 'unknown to the server'}")
    return wrong


def keep_logs(on: Embedded | Separate, lot: int) -> None:
    """The logs of a lot that went wrong, beside its result."""
    from tests.chaos.lots import BUILD

    where = BUILD / f"logs-{lot:02d}"
    where.mkdir(parents=True, exist_ok=True)
    source = on.logs if isinstance(on, Separate) else on.data / "logs"
    for path in source.glob("*.log"):
        with contextlib.suppress(OSError):
            (where / path.name).write_bytes(path.read_bytes()[-200_000:])
