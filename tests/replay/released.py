"""Replays histories on the workflow code of an earlier release, in a process of its own: `released.py RELEASE.zip DIRECTORY`.

`tests/replay/releases/0.1.0.zip` was made in a checkout of that release:
`git archive --format=zip -o 0.1.0.zip HEAD workflows domain/__init__.py domain/plan.py`. Prints one line of JSON: the failures
by file. The histories are not encrypted (`tests.kit.replays`), so that nothing but the workflow code is of that release.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import sys
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner


def workflows() -> list[type]:
    package = importlib.import_module("workflows")
    modules = [importlib.import_module(f"workflows.{one.name}") for one in pkgutil.iter_modules(package.__path__)]
    assert all(str(module.__file__).startswith(sys.argv[1]) for module in modules), "not the code of the release"
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return [one for one in found if "__temporal_workflow_definition" in vars(one)]


async def main(directory: Path) -> dict[str, str]:
    replayer = Replayer(
        workflows=workflows(), data_converter=pydantic_data_converter, workflow_runner=UnsandboxedWorkflowRunner()
    )
    failures = {}
    for path in sorted(directory.glob("*.json")):
        history = WorkflowHistory.from_json(f"replay/{path.stem}", path.read_text(encoding="utf-8"))
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            failures[path.stem] = f"{type(result.replay_failure).__name__}: {result.replay_failure}"
    return failures


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    print(json.dumps(asyncio.run(main(Path(sys.argv[2])))))
