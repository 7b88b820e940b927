"""Questions about one encounter on the command line: readable in a terminal, JSON of the contract in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import quote

import typer

from app.cli.encounter_text import claim_lines, encounter_lines, hold_lines, timeline_lines
from app.client import api_from

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="CART_DATA_DIR", help="keys, token; databases and logs of the embedded stack"),
]
Url = Annotated[
    Optional[str],
    typer.Option("--url", envvar="CART_URL", help="the gateway; from the data directory's run file if absent"),
]
Json = Annotated[
    Optional[bool], typer.Option("--json/--text", help="JSON or readable; readable in a terminal, JSON in a pipe")
]
Lines = Callable[[Any], Iterable[str]]


def show(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """One encounter: stage, gates, holds, milestones."""
    _answer(encounter, "", encounter_lines, as_json, data_dir, url)


def holds(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """What holds an encounter, who must act, and the way out."""
    _answer(encounter, "/holds", lambda it: hold_lines(it["holds"]), as_json, data_dir, url)


def timeline(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """The chain-of-identity timeline of an encounter."""
    _answer(encounter, "/timeline", timeline_lines, as_json, data_dir, url)


def claims(encounter: str, as_json: Json = None, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """The claims of an encounter, with every line and what stops them."""
    _answer(encounter, "/claims", _claims, as_json, data_dir, url)


def _claims(it: dict[str, Any]) -> Iterable[str]:
    for one in it["elsewhere"]:
        days = f"{one['statement_from']} to {one['statement_through']}"
        yield f"Claim {one['letter']}/{one['ordinal']}: {one['state']} elsewhere before the cutover, {days}, ${one['total']}"
    if not it["claims"]:
        yield "no claim is due yet"
    for claim in it["claims"]:
        yield from claim_lines(claim)
        yield ""


def _answer(encounter: str, part: str, lines: Lines, as_json: bool | None, data_dir: Path, url: str | None) -> None:
    tell(api_from(data_dir, url).get(f"/v1/encounters/{quote(encounter, safe='')}{part}"), lines, as_json)


def tell(answer: Any, lines: Lines, as_json: bool | None) -> None:
    """Print an answer: as lines for a person, as JSON for a program, by what was asked or where it goes."""
    if as_json if as_json is not None else not sys.stdout.isatty():
        print(json.dumps(answer, indent=2))
        return
    for line in lines(answer):
        print(line)
