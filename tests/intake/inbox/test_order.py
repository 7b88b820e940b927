"""Order and repetition cannot matter; neither can many senders at once, nor a kill in the middle."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from domain.encounter.facts import fold
from intake.inbox.receive import Disposition, receive
from store.engine import Database
from store.facts import load_facts
from store.keys import Keyring
from store.tables import Alias, Encounter, EncounterEvent, Inbox, Patient, Quarantine
from tests.kit import events as e
from tests.kit.databases import fresh_database
from tests.kit.files import ROOT

Seen = list[tuple[Any, ...]]


def encounters(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.exec(select(Encounter.encounter_id)))


def facts(db: Database, keys: Keyring, encounter: str) -> Seen:
    """What the domain would see, without the ids that are drawn at random."""
    own, holders = load_facts(db, keys, encounter, 10_000)
    folded = fold(own)
    return [(f.source, f.id, f.time, f.data.model_dump_json()) for f in (*folded.all, *holders)]


def identifiers(db: Database) -> set[tuple[str, str]]:
    with db.read() as session:
        return {(row.alias_key, row.kind) for row in session.exec(select(Alias))}


@pytest.fixture(scope="module")
def expected(keys: Keyring, tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Any]:
    db = fresh_database(tmp_path_factory.mktemp("order"))
    for event in e.feed():
        receive(db, keys, event, e.NOW, "t")
    return facts(db, keys, *encounters(db)), identifiers(db)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_permutation_with_duplicates_gives_the_same_facts_and_leaves_nothing_waiting(
    data: st.DataObject, tmp_path: Path, keys: Keyring, expected: tuple[Seen, Any]
) -> None:
    feed = e.feed()
    again = data.draw(st.lists(st.sampled_from(feed), max_size=4))
    shuffled = data.draw(st.permutations([*feed, *again]))
    db = fresh_database(tmp_path)
    try:
        for event in shuffled:
            receive(db, keys, event, e.NOW, "t")
        assert facts(db, keys, *encounters(db)) == expected[0]
        assert identifiers(db) == expected[1]
        with db.read() as session:
            assert {row.state for row in session.exec(select(Quarantine))} <= {"released"}
    finally:
        db.close()


def feed_of(patient: int) -> list[dict[str, Any]]:
    order, coi = f"ORD-{patient}", f"COI-{patient}"
    return [
        e.referral(f"r-{patient}", order, mrn=f"MRN-{patient}"),
        e.booking(f"b-{patient}", order, f"A-{patient}"),
        e.collection(f"a-{patient}", order, coi, f"DIN-{patient}"),
        e.custody(f"c-{patient}", subject=coi, coi=coi),
    ]


def test_eight_senders_at_once_lose_nothing_and_count_nothing_twice(db: Database, keys: Keyring) -> None:
    """Each event is sent by two of them, all encounters are opened in races."""
    patients = 6
    events = [event for patient in range(patients) for event in feed_of(patient)] * 2
    random.Random(5).shuffle(events)
    with ThreadPoolExecutor(8) as senders:
        receipts = list(senders.map(lambda event: receive(db, keys, event, e.NOW, "t"), events))
    assert {r.disposition for r in receipts} <= {Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.QUARANTINED}
    assert len(encounters(db)) == patients
    with db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 4 * patients
        assert len(session.exec(select(Patient)).all()) == patients
        rows = session.exec(select(EncounterEvent)).all()
    by_encounter: dict[str, list[int]] = {}
    for row in rows:
        by_encounter.setdefault(row.encounter_id, []).append(row.sequence)
    assert {tuple(sorted(sequences)) for sequences in by_encounter.values()} == {(1, 2, 3, 4)}


SENDER = """
import json, sys
from pathlib import Path
from store.engine import Database
from intake.inbox.receive import receive
from store.keys import read_keyring
from tests.kit import events as e
db, keys = Database(sys.argv[1]), read_keyring(Path(sys.argv[2]))
for line in sys.stdin:
    receipt = receive(db, keys, json.loads(line), e.NOW, "t")
    print(json.loads(line)["id"], receipt.disposition.value, flush=True)
"""


def test_killed_in_the_middle_every_acknowledged_event_is_there_once(tmp_path: Path) -> None:
    from store.keys import create_keyring

    keys = create_keyring(tmp_path / "keys.json")
    db = fresh_database(tmp_path)
    events = [event for patient in range(30) for event in feed_of(patient)]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    acknowledged: set[str] = set()
    for receipts in (3, 25):
        acknowledged |= _killed_sender(db.url, tmp_path / "keys.json", lines, receipts)
    assert len(acknowledged) > 0
    with db.read() as session:
        stored = len(session.exec(select(Inbox)).all())
        linked = len(session.exec(select(EncounterEvent)).all())
    assert stored == linked >= len(acknowledged)
    for event in events:
        receipt = receive(db, keys, event, e.NOW, "t")
        if event["id"] in acknowledged:
            assert receipt.disposition is Disposition.DUPLICATE
    with db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == len(events)
        assert len(session.exec(select(Encounter)).all()) == 30
    db.close()


def _killed_sender(url: str, keys: Path, lines: str, receipts: int) -> set[str]:
    """Sends until killed in the middle of what follows some receipts; returns the ids it was given a receipt for."""
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, url, str(keys)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    writer = threading.Thread(target=_feed, args=(process, lines), daemon=True)
    writer.start()
    seen = [process.stdout.readline() for _ in range(receipts)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return {line.split()[0] for line in seen if line.endswith("\n") and line.strip()}


def _feed(process: subprocess.Popen[str], lines: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(lines)
        process.stdin.close()
    except (BrokenPipeError, ValueError):
        return
