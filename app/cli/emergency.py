"""`cart-encounter emergency`: list and review emergency accesses, for the privacy officer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import api_from

emergency_app = typer.Typer(no_args_is_help=True, help="Emergency access to encounters: list, review.")


@emergency_app.command("list")
def list_accesses(
    waiting: Annotated[bool, typer.Option("--waiting", help="only those not reviewed yet")] = False,
    data_dir: DataDir = Path("data"),
    url: Url = None,
    as_json: Json = None,
) -> None:
    """List emergency accesses, the newest first: ID, encounter, person, time, reads, review, reason."""
    api = api_from(data_dir, url)
    entries: list[Mapping[str, Any]] = []
    following: str | None = ""
    while following is not None:
        page = api.get("/v1/emergency-access?limit=1000" + (f"&after={following}" if following else ""))
        entries += page["entries"]
        following = page["next"]
    found = [one for one in entries if not (waiting and one["reviewed"])]
    print_answer({"entries": found}, lambda it: [_lines(one) for one in it["entries"]] or ["no accesses"], as_json)


@emergency_app.command()
def review(
    access_ids: Annotated[list[str], typer.Argument(help="access IDs")],
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Record that reason and reads of accesses were reviewed; an access that is still open ends."""
    api = api_from(data_dir, url)
    for access_id in access_ids:
        done = api.post(f"/v1/emergency-access/{quote(access_id, safe='')}/review", {})
        typer.echo(f"{done['access_id']}  reviewed by {done['reviewed_by']}  {done['encounter_id']}")


def _lines(one: Mapping[str, Any]) -> str:
    who = one["actor"] + (f" ({one['person']})" if one["person"] else "")
    reads = f"{one['reads']} read{'' if one['reads'] == 1 else 's'}"
    state = f"reviewed by {one['reviewed_by']}" if one["reviewed"] else "not reviewed"
    head = f"{one['access_id']}  {one['encounter_id']}  {who}  {one['opened_at'][:16]} to {one['until'][:16]}"
    return f"{head}  {reads}  {state}\n    {one['reason'] or '(reason erased with the patient)'}"
