"""`cart-encounter simulate`: sends a synthetic cohort through the same intake as real feeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from app.cli.options import DataDir, Url
from app.client import Api, api_from
from app.tools.cohort import draw, read_rates
from app.tools.cohort.feeds import FeedBuilder, events_of
from store.config import read_rulebook

FINE = frozenset({"accepted", "duplicate"})


def cohort(encounters: int, seed: int, days: int, until: date) -> Iterator[list[dict[str, Any]]]:
    """Yields the events of every encounter that began by `until`. The same arguments give the same events."""
    rates, builder = read_rates(), FeedBuilder(read_rulebook("current"))
    for number in range(1, encounters + 1):
        events = events_of(builder, draw(rates, seed, number, until, days), until)
        if events:
            yield events


def post_cohort(api: Api, encounters: int, seed: int, days: int, until: date) -> Counter[str]:
    """Sends a cohort, one request per encounter; returns the number of events by disposition."""
    outcome: Counter[str] = Counter()
    for events in cohort(encounters, seed, days, until):
        outcome.update(receipt["disposition"] for receipt in api.post("/v1/events", events)["receipts"])
    return outcome


def simulate(
    encounters: Annotated[int, typer.Option("--encounters", min=1, help="number of encounters")],
    seed: Annotated[int, typer.Option("--seed", help="the same seed and date give the same cohort")],
    days: Annotated[int, typer.Option("--days", min=1, help="infusions are spread over this many days")] = 365,
    until: Annotated[
        Optional[datetime], typer.Option("--until", formats=["%Y-%m-%d"], help="last date with events (default: today)")
    ] = None,
    out: Annotated[Optional[Path], typer.Option("--out", help="write the events to a file, send nothing")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Send a synthetic cohort drawn by the guide's rates: toxicities, failures, reschedules, missing documents."""
    day = until.date() if until else datetime.now().astimezone().date()
    if out is not None:
        every = [event for events in cohort(encounters, seed, days, day) for event in events]
        out.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
        typer.echo(f"{len(every)} events in {out}")
        return
    outcome = post_cohort(api_from(data_dir, url), encounters, seed, days, day)
    typer.echo(
        ", ".join(f"{count} {name}" for name, count in sorted(outcome.items())) or "no encounter has started yet"
    )
    if outcome.keys() - FINE:
        raise typer.Exit(1)
