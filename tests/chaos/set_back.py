"""Faults after which one of two databases knows less than the other: Temporal's, or the product's.

What the product's database forgot, senders and payers send again, as the documented restore asks them to. Patients whose
claims are corrected meanwhile are not struck: the claim under the old number then has another bill, and waits for a biller
(tests/activities/billing/test_set_back.py).
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.installations import Embedded, Installation, kill
from tests.kit.waiting import eventually

NAME = "temporal.db"
TWICE = ("paid", "denied")
"""Stories whose events and answers may come twice and end alike; the scenarios are, too."""


def may_be_forgotten(on: Installation) -> bool:
    """Whether everything that this installation has can be sent again."""
    return all(one.story in TWICE or one.story.startswith("scenario") for one in on.patients)


def _copied(on: Installation, to: Path) -> None:
    """A whole copy of the Temporal server's database, while it runs."""
    with (
        contextlib.closing(sqlite3.connect(on.data / NAME, timeout=30)) as now,
        contextlib.closing(sqlite3.connect(to)) as copy,
    ):
        now.backup(copy)


def _replaced(on: Installation, by: Path | None) -> None:
    """Kill the server; it is started again on another database, or on none."""
    for path in on.data.glob(f"{NAME}*"):
        path.unlink()
    if by is not None:
        shutil.copy(by, on.data / f"{NAME}.new")
        (on.data / f"{NAME}.new").rename(on.data / NAME)
    for pid in on.pids("temporal"):
        kill(pid)
    eventually(on.answers, "ready again", 90, pause=0.2)


def temporal_removed(on: Installation, _chance: random.Random) -> None:
    _replaced(on, None)


def temporal_older(on: Installation, chance: random.Random) -> None:
    older = on.directory / "temporal-older.db"
    older.unlink(missing_ok=True)
    _copied(on, older)
    time.sleep(chance.uniform(2, 8))
    _replaced(on, older)


def temporal_restored(on: Installation, chance: random.Random) -> None:
    """Removed, and later put back as it was: in between workflows were started on the empty one."""
    kept = on.directory / "temporal-kept.db"
    kept.unlink(missing_ok=True)
    _copied(on, kept)
    _replaced(on, None)
    time.sleep(chance.uniform(4, 9))
    _replaced(on, kept)


def database_older(on: Embedded, chance: random.Random) -> None:
    """Back up, go on, restore by the documented commands; then everybody sends again."""
    backup, keys = on.directory / "backup", on.directory / "backup-keys"
    for path in (backup, keys):
        shutil.rmtree(path, ignore_errors=True)
    _command(on, "backup", str(backup), "--keys-to", str(keys))
    time.sleep(chance.uniform(4, 12))
    on.kill_all()
    _command(on, "restore", "--by", "operator", "--database", str(backup / "encounters.db"))
    on.start()
    for patient in on.patients:
        patient.again()


def _command(on: Embedded, *words: str) -> None:
    program = [sys.executable, "-P", "-m", "app.cli.main", *words, "--data-dir", str(on.data)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
