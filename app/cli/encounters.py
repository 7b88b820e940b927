"""Queries about one encounter on the command line: text in a terminal, JSON in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.cli.encounter_text import claim_lines, encounter_lines, hold_lines, timeline_lines
from app.cli.options import DataDir, Json, Url
from app.client import api_from

Lines = Callable[[Any], Iterable[str]]


def show(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Show an encounter: stage, gates, holds, milestones."""
    _answer(encounter, "", encounter_lines, as_json, data_dir, url)


def holds(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Show the holds of an encounter, who must act, and the next step."""
    _answer(encounter, "/holds", lambda it: hold_lines(it["holds"]), as_json, data_dir, url)


def timeline(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Show the chain-of-identity timeline of an encounter."""
    _answer(encounter, "/timeline", timeline_lines, as_json, data_dir, url)


def claims(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Show the claims of an encounter with their lines and errors."""
    _answer(encounter, "/claims", _claims, as_json, data_dir, url)


def _claims(it: dict[str, Any]) -> Iterable[str]:
    for one in it["elsewhere"]:
        days = f"{one['statement_from']} to {one['statement_through']}"
        claim = f"Claim {one['letter']}/{one['ordinal']}: {one['state']}"
        yield f"{claim} by another system before the cutover, {days}, ${one['total']}"
    if not it["claims"]:
        yield "no claims yet"
    for claim in it["claims"]:
        yield from claim_lines(claim)
        yield ""


def _answer(encounter: str, part: str, lines: Lines, as_json: bool | None, data_dir: Path, url: str | None) -> None:
    print_answer(api_from(data_dir, url).get(f"/v1/encounters/{quote(encounter, safe='')}{part}"), lines, as_json)


def print_answer(answer: Any, lines: Lines, as_json: bool | None) -> None:
    """Prints an answer as text or JSON; by default as text in a terminal and as JSON in a pipe."""
    if as_json if as_json is not None else not sys.stdout.isatty():
        print(json.dumps(answer, indent=2))
        return
    for line in lines(answer):
        print(line)
