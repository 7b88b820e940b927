"""`cart-encounter import`: encounters in progress in another system, from a spreadsheet. --dry-run sends nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Optional
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from app.cli.options import DataDir, Url
from app.client import Api, ApiError, api_from
from app.settings import Settings
from domain.billing.prior_system_claims import billed_elsewhere
from domain.decision.decide import decide
from domain.encounter.facts import Fact, fold
from domain.encounter.record import Record
from domain.events import parse
from intake.spreadsheets import Import, ImportFileError, Trouble, read_import
from store.config import ConfigCache

REFUSED = frozenset({"conflict", "invalid", "quarantined"})


def import_(
    files: Annotated[list[Path], typer.Argument(help="CSV, workbook (.xlsx) or JSON files; several are read as one")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the result, send nothing")] = False,
    zone: Annotated[
        Optional[str], typer.Option(help="time zone of times without UTC offset, for example America/New_York")
    ] = None,
    site: Annotated[Optional[Path], typer.Option(help="site file for the dry run (default: CART_SITE_FILE)")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Import encounters in progress in another system, with their billed claims (docs/cutover.md).

    An encounter with a row in error is not sent; the others are. Sending a file again changes nothing.
    """
    try:
        found = read_import(files, _zone(zone))
    except ImportFileError as error:
        raise ApiError(str(error)) from None
    faulty = [one for one in found if one.troubles]
    for one in found:
        _print_problems(one.troubles, "error")
        _print_problems(one.warnings, "warning")
    sound = [one for one in found if not one.troubles]
    if dry_run:
        config = ConfigCache(Settings().edition, Settings().rules_directory, site or Settings().site_file)
        for one in sound:
            for line in preview(one, config):
                print(line)
    elif sound:
        faulty += _send(api_from(data_dir, url), sound)
    print(f"{len(sound)} of {len(found)} encounters {'would be sent' if dry_run else 'read without an error'}")
    sys.exit(1 if faulty or not found else 0)


def preview(one: Import, config: ConfigCache) -> Iterator[str]:
    """Yields the state of the encounter by site file and rulebook, as if all of it had arrived now."""
    now = datetime.now(UTC)
    facts = fold([_fact(number, event, now) for number, event in enumerate(one.events)])
    decision = decide(facts, config.site(), config.rules(), now)
    yield f"{one.where}: {len(one.events)} events, stage {decision.stage.value}"
    for ordinal, claim in billed_elsewhere(Record(facts)):
        yield f"  Claim {claim.letter}/{ordinal}: {claim.state} by another system, ${claim.total}; this system never sends it"
    for built in decision.claims:
        state = "held" if built.errors else "due" if built.ready else "waiting"
        yield f"  Claim {built.key}: {state}, ${built.total}"
        yield from (f"    {edit.message}. {edit.fix}" for edit in built.errors)
    for hold in decision.holds:
        if hold.scope == "encounter":
            required = hold.requirement
            yield f"  hold: {required.title}: {required.missing or required.fix} ({required.owner})"
    for alert in decision.alerts:
        yield f"  alert: {alert.severity.value}: {alert.title} ({alert.owner})"


def _fact(number: int, event: dict[str, Any], now: datetime) -> Fact[Any]:
    envelope, data = parse(event)
    return Fact(f"evt_{number:04d}", envelope.source, envelope.id, envelope.time, now, data)


def _send(api: Api, sound: list[Import]) -> list[Import]:
    """Sends encounter by encounter; returns those with an event that was not accepted."""
    refused = []
    for one in sound:
        receipts = api.post("/v1/events", list(one.events))["receipts"]
        bad = [(event, receipt) for event, receipt in zip(one.events, receipts, strict=True) if _bad(receipt)]
        accepted = sum(receipt["disposition"] == "accepted" for receipt in receipts)
        again = sum(receipt["disposition"] == "duplicate" for receipt in receipts)
        encounter = next((r["encounter_id"] for r in receipts if r["encounter_id"]), "none")
        print(f"{one.where}: {encounter}, {accepted} events accepted, {again} duplicates, {len(bad)} not accepted")
        for event, receipt in bad:
            reasons = [*receipt["reasons"], *(f"{p['path']}: {p['message']}" for p in receipt["problems"])]
            where = one.rows.get(event["id"], one.where)
            _print_problems(
                (Trouble(where, event["type"], f"{receipt['disposition']}: {'; '.join(reasons)}"),), "error"
            )
        if bad:
            refused.append(one)
    return refused


def _bad(receipt: dict[str, Any]) -> bool:
    return receipt["disposition"] in REFUSED


def _print_problems(troubles: tuple[Trouble, ...], kind: str) -> None:
    for one in troubles:
        print(f"{one.where}: {kind}: {one.field}: {one.message}", file=sys.stderr)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        raise typer.BadParameter("--zone must be an IANA time zone name, for example America/New_York") from None
