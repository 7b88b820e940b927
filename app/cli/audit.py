"""`cart-encounter audit`: who accessed what, for the privacy officer."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import urlencode

import typer

from app.cli.options import DataDir, Url
from app.client import Api, api_from

COLUMNS = ("at", "actor", "person", "action", "target", "outcome")


def audit(
    encounter: Annotated[Optional[str], typer.Argument(help="encounter ID or any identifier (default: all)")] = None,
    caller: Annotated[Optional[str], typer.Option(help="name or pseudonym of the caller")] = None,
    action: Annotated[
        Optional[str], typer.Option(help="for example encounter, claim_file, show identity (care)")
    ] = None,
    outcome: Annotated[Optional[str], typer.Option(help="for example read, denied, refused, shown")] = None,
    since: Annotated[Optional[str], typer.Option(help="from this time, for example 2026-03-01T00:00:00Z")] = None,
    until: Annotated[Optional[str], typer.Option(help="before this time")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of CSV")] = False,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """List who read, changed or was denied what, the newest first, as CSV. This query is recorded as well."""
    filters = {
        "encounter": encounter,
        "caller": caller,
        "action": action,
        "outcome": outcome,
        "since": since,
        "until": until,
    }
    entries = _all(api_from(data_dir, url), {name: value for name, value in filters.items() if value})
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    out.writerows([_cell(entry[name]) for name in COLUMNS] for entry in entries)


def _all(api: Api, filters: dict[str, str]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        page = api.get(
            "/v1/audit?" + urlencode(filters | {"limit": "1000"} | ({"after": following} if following else {}))
        )
        entries += page["entries"]
        following = page["next"]
    return entries


def _cell(value: str | None) -> str:
    """Returns text that a spreadsheet does not read as a formula."""
    text = value or ""
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text
