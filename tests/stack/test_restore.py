"""The documented restore, whole: claims go out, an earlier backup is restored, events come again, another patient comes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from domain.billing.x12.claim_files import read_claim_file
from store.engine import Database
from store.tables import ClaimVersion, Transmission
from tests.kit.feeds import SCENARIOS
from tests.kit.files import SITE_FILE
from tests.kit.waiting import eventually
from tests.stack.harness import Stack, events_of

pytestmark = [pytest.mark.stack, pytest.mark.sqlite("of the backup's file; test_failover.py restores PostgreSQL")]


def patient(name: str) -> list[dict[str, Any]]:
    """The events of one patient of the scenario, with a name and numbers of their own."""
    _, events = events_of(SCENARIOS["a"], f"-{name}")
    for event in events:
        if event["type"] == "cart.referral.received":
            data = event["data"]
            person = {"mrn": f"MRN-{name}", "name": {"family": f"Family{name}", "given": "Given"}}
            data["patient"] = data["patient"] | person
            data["coverage"] = data["coverage"] | {"member_id": f"MEM{name}77"}
    return events


def command(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    called = [sys.executable, "-m", "app.cli.main", *arguments, "--data-dir", str(stack.data_dir)]
    return subprocess.run(
        called, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **stack.environment}
    )


def outbox(stack: Stack) -> list[tuple[str, str]]:
    """Control number and family name of every claim in the outbox."""
    found = sorted((stack.data_dir / "outbox").rglob("*.x12"))
    files = [read_claim_file(path.read_text()) for path in found if not path.name.startswith(".")]
    return [(claim.control, claim.family) for file in files for claim in file.claims]


def sent(stack: Stack, count: int) -> list[tuple[str, str]]:
    return list(
        eventually(lambda: len(found := outbox(stack)) >= count and found, f"{count} claims are in the outbox", 60)
    )


def test_after_a_restore_each_claim_is_at_the_payer_once_and_under_its_own_patient(tmp_path: Path) -> None:
    site, held = re.subn(r"^bill_hold_days = \d+", "bill_hold_days = 0", SITE_FILE.read_text(), flags=re.MULTILINE)
    assert held == 1
    (tmp_path / "site.toml").write_text(site)
    stack = Stack(tmp_path / "data", "--site", str(tmp_path / "site.toml"))
    stack.start()
    try:
        stack.post(patient("zoe"))
        sent(stack, 3)
        kept = command(stack, "backup", str(tmp_path / "backup"), "--keys-to", str(tmp_path / "keys"))
        assert kept.returncode == 0, kept.stderr
        stack.post(patient("ada"))
        before = sent(stack, 6)
        refused = command(stack, "restore", "--by", "it", "--database", str(tmp_path / "backup" / "encounters.db"))
        assert refused.returncode == 1
        assert "in use by another running stack" in refused.stderr
        assert stack.stop() == 0

        done = command(stack, "restore", "--by", "it", "--database", str(tmp_path / "backup" / "encounters.db"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kept 3 claims that the database did not know" in done.stdout
        assert "epoch 1" in done.stdout

        stack.start()
        stack.post(patient("bea"))
        stack.post(patient("ada"))
        after = sent(stack, 9)
        eventually(lambda: len(adopted(stack)) == 9, "the claims of the lost patient have their numbers", 60)
        assert outbox(stack) == after
        assert [one for one in after if one in before] == before
        assert set(Counter(number for number, _ in after).values()) == {1}
        assert Counter(family for _, family in after) == {"FAMILYZOE": 3, "FAMILYADA": 3, "FAMILYBEA": 3}
        assert adopted(stack) == dict(after)
        listed = command(stack, "reconcile")
        assert (listed.returncode, listed.stdout) == (0, "nothing holds sending\n")
    finally:
        if stack.process is not None and stack.process.poll() is None:
            assert stack.stop() == 0


def adopted(stack: Stack) -> dict[str, str]:
    """Control number of each claim that was sent, with the name of the patient its order number carries."""
    names = {
        str(stack.get(f"/v1/encounters/{subject}")["encounter_id"]): f"FAMILY{name.upper()}"
        for name in ("zoe", "ada", "bea")
        if (subject := patient(name)[0]["subject"])
    }
    db = Database(stack.database)
    with db.read() as session:
        rows = session.exec(
            select(ClaimVersion.control_number, ClaimVersion.encounter_id).join(
                Transmission, ClaimVersion.control_number == Transmission.control_number
            )
        ).all()
    db.close()
    return {str(number): names[encounter] for number, encounter in rows}
