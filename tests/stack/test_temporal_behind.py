"""Temporal's database is lost, or an older copy of it comes back, while the product's goes on: claims and deadlines return."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from app.process.installation import install
from app.process.supervisor import StackOptions, _children
from app.settings import Settings
from tests.kit.feeds import cut, kind
from tests.kit.waiting import eventually, eventually_async
from tests.stack.harness import Stack
from tests.stack.test_up import up
from workflows.names import ALERT_ESCALATION_ID, claim_workflow_id, encounter_workflow_id


def copied(data: Path, to: Path) -> None:
    """Copy the files of the Temporal server's database."""
    to.mkdir(exist_ok=True)
    for file in data.glob("temporal.db*"):
        shutil.copy(file, to / file.name)


async def running(stack: Stack, workflow_id: str) -> bool:
    client = await Client.connect(stack.ready["temporal"])
    try:
        shown = await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return shown.status is WorkflowExecutionStatus.RUNNING


@pytest.mark.parametrize("lost", ["removed", "older"])
async def test_what_the_temporal_server_lost_comes_back_by_itself(tmp_path: Path, lost: str) -> None:
    stack = Stack(tmp_path / "data").start()
    events, late = cut("a", kind("cart.admission.ended"), f"-{lost}")
    subject = next(str(one["subject"]) for one in events if one["type"] == "cart.referral.received")
    first, second = events[:4], events[4:]
    stack.post(first)
    stack.settled(subject)
    assert stack.stop() == 0
    copied(stack.data_dir, tmp_path / "older")
    stack.start()
    encounter = stack.post(second)[0]["encounter_id"]
    stack.settled(subject)
    due = stack.get(f"/v1/encounters/{subject}")["next_due"]
    wanted = [
        encounter_workflow_id(encounter),
        ALERT_ESCALATION_ID,
        *(claim_workflow_id(encounter, *key.split("/")) for key in stack.claims(subject)),  # type: ignore[arg-type]
    ]
    assert len(wanted) > 2, "claim A is due"
    assert stack.stop() == 0

    for file in stack.data_dir.glob("temporal.db*"):
        file.unlink()
    if lost == "older":
        for file in (tmp_path / "older").iterdir():
            shutil.copy(file, stack.data_dir / file.name)
    stack.start()
    for workflow_id in wanted:
        await eventually_async(lambda one=workflow_id: running(stack, one), f"{workflow_id} runs")  # type: ignore[misc]
    found = "encounter" if lost == "removed" else "encounter_behind"
    log = stack.data_dir / "logs" / "worker.log"
    eventually(lambda: f'"kind": "{found}"' in log.read_text(), "the log names what was missing")
    assert stack.settled(subject)["next_due"] == due
    stack.post([late])
    stack.settled(subject)
    assert stack.stop() == 0


async def test_a_server_that_is_replaced_under_a_running_worker(own_stack: Stack) -> None:
    """The supervisor starts the server again on an empty database; the worker outlives it and finds what is missing."""
    events, _ = cut("a", kind("cart.product.released"), "-replaced")
    own_stack.post(events)
    subject = next(str(one["subject"]) for one in events if one["type"] == "cart.referral.received")
    encounter = str(own_stack.settled(subject)["encounter_id"])
    worker = own_stack.pids("app.cli.main worker")
    [server] = own_stack.pids("server start-dev")
    for file in own_stack.data_dir.glob("temporal.db*"):
        file.unlink()
    os.kill(server, signal.SIGKILL)
    assert await eventually_async(lambda: responds(own_stack, server), "the server is back")
    assert own_stack.pids("app.cli.main worker") == worker
    await eventually_async(lambda: running(own_stack, encounter_workflow_id(encounter)), "the encounter runs")


async def responds(stack: Stack, before: int) -> bool:
    try:
        await (await Client.connect(stack.ready["temporal"])).count_workflows()
    except (RPCError, RuntimeError):
        return False
    return stack.pids("server start-dev") != [before]


def test_both_databases_sync_alike(tmp_path: Path) -> None:
    """`encounters.db` writes with `synchronous=FULL`; what it has noted as delivered must not be lost by the server."""
    settings = Settings(data_dir=tmp_path)
    install(settings)
    server = _children(StackOptions(tmp_path), settings)[0]
    assert "synchronous=full" in [part.lower() for part in server.command]


@pytest.mark.parametrize("damage", ["not a database", "torn"])
def test_a_damaged_database_of_the_temporal_server_names_its_fix(tmp_path: Path, damage: str) -> None:
    data = tmp_path / "data"
    running = Stack(data).start()
    assert running.stop() == 0
    file = data / "temporal.db"
    if damage == "not a database":
        file.write_bytes(b"not a database" * 1000)
    else:
        content = bytearray(file.read_bytes())
        content[4096 : 4096 * 200] = os.urandom(4096 * 199)
        file.write_bytes(content)
        (data / "temporal.db-wal").unlink(missing_ok=True)
    ended = up(data)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "temporal.db is damaged" in ended.stderr
    fix = ended.stderr.split("`")[1]
    assert os.system(fix) == 0  # the command as it is printed
    assert not file.exists()
    again = Stack(data).start()
    assert again.stop() == 0
