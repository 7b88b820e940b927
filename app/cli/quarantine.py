"""`cart-encounter quarantine`: what was kept and why, trying it again, closing what will never be released."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import quote

import typer

from app.cli.encounters import DataDir, Json, Url, tell
from app.client import api_from

quarantine_app = typer.Typer(no_args_is_help=True, help="Quarantine: list, replay, close.")

Ids = Annotated[list[str], typer.Argument(help="ids of entries")]


@quarantine_app.command("list")
def list_entries(
    state: Annotated[
        Optional[str],
        typer.Option(
            help="waiting, invalid, conflict, unmapped, aside, released, closed or erased; all but aside if absent"
        ),
    ] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
    as_json: Json = None,
) -> None:
    """List entries: id, state, type, feed, when they came, and why they are kept."""
    answer = api_from(data_dir, url).get("/v1/quarantine" + (f"?state={quote(state)}" if state else ""))
    tell(answer, lambda it: [_lines(one) for one in it["entries"]] or ["nothing is kept"], as_json)


@quarantine_app.command()
def replay(entries: Ids, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Try entries again, with the mapping and the encounters of today."""
    for entry in entries:
        done = api_from(data_dir, url).post(f"/v1/quarantine/{quote(entry, safe='')}/replay", {})
        typer.echo("  ".join([entry, done["disposition"], *done["reasons"]]))


@quarantine_app.command()
def close(
    entries: Ids,
    by: Annotated[str, typer.Option("--by", help="the role that decides it")],
    because: Annotated[str, typer.Option("--because", help="corrected, duplicate, not_ours or other")],
    note: Annotated[Optional[str], typer.Option("--note", help="kept under encryption; other asks for one")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Close entries that will never be released: they leave counts and alerts, their originals stay."""
    for entry in entries:
        body = {"by": by, "because": because, "note": note}
        closed = api_from(data_dir, url).post(f"/v1/quarantine/{quote(entry, safe='')}/close", body)
        typer.echo(f"{closed['quarantine_id']}  {closed['state']}  {closed['type']}")


def _lines(one: Mapping[str, Any]) -> str:
    head = f"{one['quarantine_id']}  {one['state']:9} {one['type']}  {one['feed']}  {one['received_at'][:16]}"
    closed = [f"closed by {one['closed_by']}: {one['closed_because']}"] if one["state"] == "closed" else []
    return "\n    ".join([head, *one["reasons"], *closed])
