"""Replays histories of production on the installed code: the gate before a deploy. No payload is shown."""

from __future__ import annotations

import gzip
import json
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.protobuf.json_format import ParseError
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from app.process.worker import WORKFLOWS, sandbox
from app.settings import CannotStart

SUFFIXES = (".json", ".json.gz")
CALL_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Source:
    """A history to replay, and how to read it."""

    workflow_id: str
    workflow_type: str
    history: WorkflowHistory


@dataclass(frozen=True, slots=True)
class Refused:
    """A run that this code cannot carry on."""

    workflow_id: str
    workflow_type: str
    failure: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a replay: how many histories, and those that failed."""

    replayed: int
    refused: tuple[Refused, ...]


async def replay(sources: AsyncIterator[Source], converter: DataConverter, note: Callable[[Refused], None]) -> Report:
    """Replays each history on the workflows of this code."""
    replayer = Replayer(workflows=WORKFLOWS, data_converter=converter, workflow_runner=sandbox())
    count, refused = 0, list[Refused]()
    async for source in sources:
        count += 1
        result = await replayer.replay_workflow(source.history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            refused.append(Refused(source.workflow_id, source.workflow_type, stated(result.replay_failure)))
            note(refused[-1])
    return Report(count, tuple(refused))


def stated(failure: BaseException) -> str:
    """Returns what failed, without a value: the mismatch of commands, or class and place of another error."""
    if isinstance(failure, NondeterminismError):
        return f"NondeterminismError: {' '.join(str(failure).split())[:300]}"
    while failure.__cause__ is not None:
        failure = failure.__cause__
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(failure).__name__}{place}"


async def of_server(client: Client, query: str, days: int, limit: int) -> AsyncIterator[Source]:
    """Yields the histories of open runs, then of those closed within the days, newest first, `limit` of each.

    Raises:
        RPCError: the server does not respond or refuses the query.
    """
    since = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    own = " OR ".join(f"WorkflowType = '{kind.__temporal_workflow_definition.name}'" for kind in WORKFLOWS)  # type: ignore[attr-defined]
    which = f"({own})" + (f" AND ({query})" if query else "")
    for state in ("ExecutionStatus = 'Running'", f"ExecutionStatus != 'Running' AND CloseTime > '{since}'"):
        async for run in client.list_workflows(f"{which} AND {state}", limit=limit):
            handle = client.get_workflow_handle(run.id, run_id=run.run_id)
            try:
                history = await handle.fetch_history(rpc_timeout=CALL_TIMEOUT)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    continue  # its retention ended meanwhile
                raise
            yield Source(run.id, run.workflow_type, history)


async def of_directory(directory: Path) -> AsyncIterator[Source]:
    """Yields the exported histories of a directory (`temporal workflow show --output json`), `.json` or `.json.gz`.

    Raises:
        CannotStart: there is none, or a file is not a history.
    """
    files = sorted(path for path in directory.glob("*") if path.name.endswith(SUFFIXES))
    if not files:
        raise CannotStart(
            f"{directory}: no file *.json or *.json.gz; export with `temporal workflow show --output json`"
        )
    for path in files:
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            name = path.name.split(".json")[0]
            history = WorkflowHistory.from_json(name, json.loads(content))
            kind = history.events[0].workflow_execution_started_event_attributes.workflow_type.name
        except (OSError, EOFError, ValueError, IndexError, AttributeError, ParseError) as error:
            raise CannotStart(f"{path}: not an exported history ({type(error).__name__})") from None
        yield Source(name, kind or "unknown", history)
