"""`cart-encounter quarantine`: list, replay and close quarantined messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import quote

import typer

from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import api_from

quarantine_app = typer.Typer(no_args_is_help=True, help="Message quarantine: list, replay, close.")

Ids = Annotated[list[str], typer.Argument(help="entry IDs")]


@quarantine_app.command("list")
def list_entries(
    state: Annotated[
        Optional[str],
        typer.Option(
            help="waiting, invalid, conflict, unmapped, `aside` (retained), released, closed or erased (default: all but `aside`)"
        ),
    ] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
    as_json: Json = None,
) -> None:
    """List entries: ID, state, type, feed, time received, reasons."""
    answer = api_from(data_dir, url).get("/v1/quarantine" + (f"?state={quote(state)}" if state else ""))
    print_answer(answer, lambda it: [_lines(one) for one in it["entries"]] or ["no entries"], as_json)


@quarantine_app.command()
def replay(entries: Ids, data_dir: DataDir = Path("data"), url: Url = None) -> None:
    """Process entries again with the current mapping and encounters."""
    for entry in entries:
        done = api_from(data_dir, url).post(f"/v1/quarantine/{quote(entry, safe='')}/replay", {})
        typer.echo("  ".join([entry, done["disposition"], *done["reasons"]]))


@quarantine_app.command()
def close(
    entries: Ids,
    by: Annotated[str, typer.Option("--by", help="role that closes them")],
    because: Annotated[str, typer.Option("--because", help="reason: corrected, duplicate, not_ours or other")],
    note: Annotated[Optional[str], typer.Option("--note", help="note, stored encrypted; required for other")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Close entries that will never be released. They no longer count or alert; their originals stay."""
    for entry in entries:
        body = {"by": by, "because": because, "note": note}
        closed = api_from(data_dir, url).post(f"/v1/quarantine/{quote(entry, safe='')}/close", body)
        typer.echo(f"{closed['quarantine_id']}  {closed['state']}  {closed['type']}")


def _lines(one: Mapping[str, Any]) -> str:
    head = f"{one['quarantine_id']}  {one['state']:9} {one['type']}  {one['feed']}  {one['received_at'][:16]}"
    closed = [f"closed by {one['closed_by']}: {one['closed_because']}"] if one["state"] == "closed" else []
    return "\n    ".join([head, *one["reasons"], *closed])
