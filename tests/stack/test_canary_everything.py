"""The canary with all of it on: emergency access, seals, heads, replay, backup, a lost Temporal database, restore, reconcile."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.tools.scenario_expectations import scenarios
from intake.scenario_feeds import expand
from store.keys import read_keyring
from tests.kit.files import SITE_FILE
from tests.kit.waiting import eventually
from tests.stack.harness import Stack
from tests.stack.test_canary import ANCHOR, FAMILY, GIVEN, MRN, ORDER, canary, histories, named_in

pytestmark = [pytest.mark.stack, pytest.mark.sqlite("of the backup's file; the ledgers are tested on both engines")]

ON_CALL = "on-call-token-of-this-test"
CALLERS = """
[[callers]]
name = "whole installation"
token_sha256 = "{whole}"
roles = ["feed", "coordinator", "biller", "lab", "auditor", "admin"]

[[callers]]
name = "on call"
token_sha256 = "{on_call}"
roles = ["lab", "emergency"]
facilities = ["lakeside"]
"""
REASON = f"{GIVEN} {FAMILY}, {MRN}, is in intensive care elsewhere"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack with callers of its own that sends its claims at once."""
    site, held = re.subn(r"^bill_hold_days = \d+", "bill_hold_days = 0", SITE_FILE.read_text(), flags=re.MULTILINE)
    assert held
    (tmp_path / "site.toml").write_text(site)
    running = Stack(tmp_path / "data", "--site", str(tmp_path / "site.toml")).start()
    access = tmp_path / "access.toml"
    access.write_text(CALLERS.format(whole=digest(running.token), on_call=digest(ON_CALL)))
    access.chmod(0o600)
    assert running.stop() == 0
    running.environment |= {"CART_ACCESS_FILE": str(access)}
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def command(stack: Stack, *words: str, **environment: str) -> str:
    """What a command prints; it ends with 0."""
    called = [sys.executable, "-P", "-m", "app.cli.main", *words]
    whole = {**os.environ, **stack.environment, "CART_DATA_DIR": str(stack.data_dir), **environment}
    done = subprocess.run(called, capture_output=True, text=True, check=False, timeout=120, env=whole)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def as_on_call(stack: Stack, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {ON_CALL}"}
    return httpx.request(method, stack.ready["http"] + path, headers=headers, json=body, timeout=20)


async def test_with_everything_on_only_the_vault_and_the_claims_name_the_patient(stack: Stack, tmp_path: Path) -> None:
    shown: list[str] = []
    events = canary(expand(next(s for s in scenarios() if s.feed.name[0] == "a").feed, ANCHOR))
    stack.post(events)
    stack.settled(ORDER)
    outbox = stack.data_dir / "outbox"
    eventually(lambda: len(list(outbox.rglob("*.x12"))) >= 3, "the claims are in the outbox")

    # Emergency access, by a person of another facility, with her name in the reason.
    denied = as_on_call(stack, "GET", f"/v1/encounters/{ORDER}")
    assert denied.status_code in (403, 404), denied.text
    opened = as_on_call(stack, "POST", f"/v1/encounters/{ORDER}/emergency-access", {"reason": REASON})
    assert opened.status_code == 201, opened.text
    read = as_on_call(stack, "GET", f"/v1/encounters/{ORDER}")
    assert read.status_code == 200, read.text
    shown += [denied.text, opened.text, read.text]
    listed = stack.get("/v1/emergency-access")["entries"]
    assert [one.pop("reason") for one in listed] == [REASON], "the reason is for the reviewer alone"
    access = opened.json()["access_id"]
    reviewed = stack.request("POST", f"/v1/emergency-access/{access}/review")
    assert reviewed.status_code == 200, reviewed.text
    shown += [json.dumps(listed), json.dumps(stack.get("/v1/alerts")), json.dumps(stack.get("/v1/audit"))]

    # Seals, heads and replay.
    data = ("--data-dir", str(stack.data_dir))
    heads = stack.data_dir / "heads.json"
    eventually(lambda: "not sealed yet" not in command(stack, "verify", *data), "every row is sealed", pause=2)
    shown.append(command(stack, "verify", *data, "--write-heads", str(heads)))
    shown.append(command(stack, "verify", *data, "--since-heads", str(heads)))
    shown.append(command(stack, "deploy", "replay", CART_TEMPORAL_ADDRESS=stack.ready["temporal"]))
    backup = tmp_path / "backup"
    shown.append(command(stack, "backup", str(backup), "--keys-to", str(tmp_path / "keys"), *data))

    # Temporal loses everything; the reconciler starts it again. Then the product's database is restored.
    assert stack.stop() == 0
    for file in stack.data_dir.glob("temporal.db*"):
        file.unlink()
    stack.start()
    log = stack.data_dir / "logs" / "worker.log"
    eventually(lambda: "workflows.missing" in log.read_text(), "the reconciler found what was missing")
    stack.settled(ORDER)
    assert stack.stop() == 0
    shown.append(command(stack, "restore", "--by", "operator", "--database", str(backup / "encounters.db"), *data))
    stack.start()
    assert {one["disposition"] for one in stack.post(events)} <= {"accepted", "duplicate"}
    stack.settled(ORDER)
    shown.append(command(stack, "reconcile", *data))
    shown += [command(stack, *words, ORDER, "--text", *data) for words in (("show",), ("claims",), ("holds",))]
    shown += [httpx.get(stack.ready["metrics"]).text, stack.request("GET", "/metrics").text]
    shown += [stack.request("GET", path).text for path in ("/livez", "/readyz", "/startupz")]
    kept = await histories(stack, read_keyring(stack.data_dir / "keys.json"))
    assert stack.stop() == 0

    assert named_in("\n".join(shown).encode()) == [], "answers, commands, metrics, audit"
    assert named_in(kept) == [], "histories"
    for directory in (stack.data_dir, backup):
        files = {path.relative_to(directory): path for path in directory.rglob("*") if path.is_file()}
        assert named_in("\n".join(map(str, files)).encode()) == [], "file names"
        with_names = {name.parts[0] for name, path in files.items() if named_in(path.read_bytes())}
        assert with_names <= {"outbox", "inbox"}, "claim files and payers' answers alone name her"
