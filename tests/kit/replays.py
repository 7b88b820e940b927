"""Histories for replay on the code of an earlier release: their payloads opened, and the program of that release run on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory

from app.process.payload_encryption import SealedPayloads
from store.keys import Keyring
from tests.kit.files import ROOT

RELEASES = sorted((ROOT / "tests" / "replay" / "releases").glob("*.zip"))


def opened(history: WorkflowHistory, keys: Keyring) -> str:
    """The history as JSON, with its payloads decrypted."""
    codec = SealedPayloads(keys)
    whole = History(events=history.events)
    for payload in _payloads(whole):
        payload.CopyFrom(codec._open(payload))
    return WorkflowHistory(history.workflow_id, whole.events).to_json()


def _payloads(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            inner = list(value) if field.is_repeated else [value]
        for one in inner:
            yield from _payloads(one)


def replayed_on(release: Path, histories: Iterable[tuple[str, str]], directory: Path) -> dict[str, str]:
    """The failures by name of a replay on the workflow code of a release, in a process of its own."""
    for name, text in histories:
        (directory / f"{name}.json").write_text(text, encoding="utf-8")
    program = ROOT / "tests" / "replay" / "released.py"
    done = subprocess.run(
        [sys.executable, "-P", program, str(release), directory],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failures: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return failures
