"""`cart-encounter worklist` and `reply`: what billers have to do, and payers' answers as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.encounters import DataDir, Json, Url, tell
from app.client import api_from

EDI = "application/edi-x12"
NAMES = ("unbilled", "held", "unacknowledged", "denied")


def worklist(
    name: Annotated[str, typer.Argument(help="unbilled, held, unacknowledged or denied")],
    as_json: Json = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """The claims somebody must work on, the longest waiting first, with days, money, owner and next step."""
    if name not in NAMES:
        raise typer.BadParameter(f"there are the worklists {', '.join(NAMES)}")
    tell(api_from(data_dir, url).get(f"/v1/worklists/{name}"), worklist_lines, as_json)


def reply(
    files: Annotated[list[Path], typer.Argument(help="999, 277CA or 835 as they came")],
    as_json: Json = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Send files of payers' answers; says for each what became of every answer in it."""
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from None
        answer = api_from(data_dir, url).post_file("/v1/replies", content, EDI)
        tell(answer, lambda it, name=file.name: reply_lines(name, it), as_json)  # type: ignore[misc]


def reply_lines(name: str, it: dict[str, Any]) -> Iterator[str]:
    """What became of a file: how many answers were ours, and each of them with its reasons."""
    passed = f", {it['passed_over']} to claims of other systems" if it["passed_over"] else ""
    yield f"{name}: {len(it['receipts'])} answers to our claims{passed}"
    for one in it["receipts"]:
        kept = f"  in quarantine as {one['quarantine_id']}" if one["quarantine_id"] else ""
        yield f"  {one['disposition']:<12}{one['encounter_id'] or 'no encounter'}{kept}"
        yield from (f"    {reason}" for reason in one["reasons"])


def worklist_lines(it: dict[str, Any]) -> Iterator[str]:
    """A worklist as a biller reads it: head with count and money, then each claim with what it waits for."""
    yield f"{it['name']}: {it['claims']} claims, ${it['total']}"
    for one in it["entries"]:
        left = "" if one["days_left"] is None else f"  {_left(one['days_left'])} ({one['due']})"
        claim = f"{one['encounter_id']}  {one['claim']:<5}{one['state']:<12} {one['payer']:<18}"
        yield f"  {claim} ${one['total']:>14}  {one['days']:>4} d{left}"
        yield f"    {one['owner']}: {one['reason'] or '; '.join(one['waits_for']) or 'nothing is waited for'}"
        if one["fix"]:
            yield f"    -> {one['fix']}"
        if one["packet"]:
            yield f"    evidence: {one['packet']}"


def _left(days: int) -> str:
    return f"{days} days left" if days >= 0 else f"{-days} days too late"
