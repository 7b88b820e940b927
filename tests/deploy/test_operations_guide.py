"""The operations guide says what is: attributes, queries, commands, runbooks, metrics."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from app.cli.main import cli
from app.process.deployment import register, type_name
from tests.kit.files import DOCS, ROOT
from tests.kit.programs import connected
from tests.kit.promql import ALERTS, documented
from workflows.search_attributes import MEANING, REGISTRY

GUIDE = (DOCS / "operations.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```temporal\n(.+?)\n```", GUIDE, re.DOTALL)


def test_every_search_attribute_is_explained_with_its_type() -> None:
    for name, kind in REGISTRY.items():
        assert f"| `{name}` | {type_name(kind)} | {MEANING[name]} |" in GUIDE


@pytest.mark.parametrize("query", QUERIES)
async def test_a_saved_view_is_a_query_the_server_takes(server: str, query: str) -> None:
    client = await connected(server)
    await register(client, "cart")
    assert (await client.count_workflows(query)).count == 0


def test_there_are_saved_views() -> None:
    assert len(QUERIES) >= 6


def test_every_command_of_the_guide_exists() -> None:
    for words in re.findall(r"cart-encounter ((?:[a-z]+ ?)+)", GUIDE):
        command: Any = typer.main.get_command(cli)
        for word in words.split():
            if not hasattr(command, "commands") or word not in command.commands:
                break
            command = command.commands[word]
        assert command.name != "root", words
        assert words.split()[0] in typer.main.get_command(cli).commands, words  # type: ignore[attr-defined]


ROLES = {"cart_owner", "cart_app", "cart_read"}
"""Roles of the database (deploy/postgresql/roles.sql)."""


def test_alerts_metrics_and_files_of_the_guide_exist() -> None:
    assert set(re.findall(r"\bCart(?:[A-Z][a-z]+){2,}\b", GUIDE)) <= set(ALERTS) | set(REGISTRY) | {"CarTEncounter"}
    assert set(re.findall(r"`((?:cart|temporal)_\w+)`", GUIDE)) <= documented() | {"temporal_visibility"} | ROLES
    for path in re.findall(r"`(deploy/[\w./-]+)`", GUIDE):
        assert (ROOT / path).exists(), path
