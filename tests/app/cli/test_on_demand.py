"""Each command of the command line is imported when it is called."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from app.cli.main import cli
from app.cli.on_demand import COMMANDS

HEAVY = {"alembic", "fastapi", "temporalio.client", "reportlab", "openpyxl"}
"""What only some commands require; each takes a good part of a second to import."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_described(name: str) -> None:
    found = typer.main.get_command(cli).commands[name]  # type: ignore[attr-defined]
    assert found.name == name
    assert found.get_short_help_str()


def test_a_query_imports_no_server() -> None:
    code = "import sys; from app.cli.on_demand import Imported; Imported()['show']; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()
