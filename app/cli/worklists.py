"""`cart-encounter worklist` and `reply`: claim worklists of billers, and payer response files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import api_from

EDI = "application/edi-x12"
NAMES = ("unbilled", "held", "unacknowledged", "denied")
IMPORTED = {"accepted": "imported", "duplicate": "already imported"}
"""What became of a response here: never the payer's verdict, which may be a rejection or a denial."""


def worklist(
    name: Annotated[str, typer.Argument(help="unbilled, held, unacknowledged or denied")],
    as_json: Json = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """List claims that need work, the longest waiting first, with days, amounts, owner and next step."""
    if name not in NAMES:
        raise typer.BadParameter(f"worklists: {', '.join(NAMES)}")
    print_answer(api_from(data_dir, url).get(f"/v1/worklists/{name}"), worklist_lines, as_json)


def reply(
    files: Annotated[list[Path], typer.Argument(help="999, 277CA or 835 files as received")],
    as_json: Json = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Send payer response files; shows the result for every response in them."""
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from None
        answer = api_from(data_dir, url).post_file("/v1/replies", content, EDI)
        print_answer(answer, lambda it, name=file.name: reply_lines(name, it), as_json)  # type: ignore[misc]


def reply_lines(name: str, it: dict[str, Any]) -> Iterator[str]:
    """Yields the result of a file: number of responses to our claims, and each with its reasons."""
    passed = f", {it['passed_over']} to claims of other systems" if it["passed_over"] else ""
    count = len(it["receipts"])
    yield f"{name}: {count} response{'' if count == 1 else 's'} to our claims{passed}"
    for one in it["receipts"]:
        kept = f"  in quarantine as {one['quarantine_id']}" if one["quarantine_id"] else ""
        result = IMPORTED.get(one["disposition"], one["disposition"])
        yield f"  {result:<12}{one['encounter_id'] or 'no encounter'}{kept}"
        yield from (f"    {reason}" for reason in one["reasons"])


def worklist_lines(it: dict[str, Any]) -> Iterator[str]:
    """Yields a worklist: head with count and total, then each claim with reason and next step."""
    yield f"{it['name']}: {it['claims']} claim{'' if it['claims'] == 1 else 's'}, ${it['total']}"
    for one in it["entries"]:
        left = "" if one["days_left"] is None else f"  {_left(one['days_left'])} ({one['due']})"
        claim = f"{one['encounter_id']}  {one['claim']:<5}{one['state']:<12} {one['payer']:<18}"
        yield f"  {claim} ${one['total']:>14}  {one['days']:>4} d{left}"
        yield f"    {one['owner']}: {one['reason'] or '; '.join(one['waits_for']) or 'no action pending'}"
        if one["fix"]:
            yield f"    -> {one['fix']}"
        if one["packet"]:
            yield f"    evidence: {one['packet']}"


def _left(days: int) -> str:
    return f"{days} days left" if days >= 0 else f"{-days} days past due"
