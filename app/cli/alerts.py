"""`cart-encounter alerts`: what stands and why, taking alerts, and the messages that did not arrive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import quote, urlencode

import typer

from activities.alerting.destinations import DestinationsError, read_destinations
from app.cli.encounters import DataDir, Json, Url, tell
from app.client import ApiError, api_from

alerts_app = typer.Typer(no_args_is_help=True, help="Alerts: list, causes, acknowledge, dead-letters, retry, check.")

Answer = Mapping[str, Any]


@alerts_app.command("list")
def list_alerts(
    encounter: Annotated[Optional[str], typer.Option("--encounter", help="of one encounter only")] = None,
    state: Annotated[Optional[str], typer.Option(help="open, acknowledged or resolved")] = None,
    severity: Annotated[Optional[str], typer.Option(help="critical, warning or info")] = None,
    kind: Annotated[Optional[str], typer.Option(help="a kind of the rulebook")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
    as_json: Json = None,
) -> None:
    """List alerts: id, severity, state, owner, time to acknowledge, title, next step."""
    if encounter and (severity or kind):
        raise typer.BadParameter("of one encounter, choose by --state only")
    asked = {key: value for key, value in (("state", state), ("severity", severity), ("kind", kind)) if value}
    path = f"/v1/encounters/{quote(encounter, safe='')}/alerts" if encounter else "/v1/alerts"
    answer = api_from(data_dir, url).get(path + (f"?{urlencode(asked)}" if asked else ""))
    tell(answer, lambda it: [_alert_lines(one) for one in it["alerts"]] or ["no alert"], as_json)


@alerts_app.command()
def causes(data_dir: DataDir = Path("data"), url: Url = None, as_json: Json = None) -> None:
    """What stands, put together by what cures it."""
    answer = api_from(data_dir, url).get("/v1/alerts/causes")
    tell(answer, lambda it: [_cause_lines(one) for one in it["causes"]] or ["no alert stands"], as_json)


@alerts_app.command()
def acknowledge(
    alert_ids: Annotated[Optional[list[str]], typer.Argument(help="ids of alerts")] = None,
    by: Annotated[str, typer.Option("--by", help="the role that takes them")] = "",
    note: Annotated[Optional[str], typer.Option("--note", help="kept under encryption")] = None,
    cause: Annotated[Optional[str], typer.Option("--cause", help="every open alert of this cause")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Take alerts: by id, or all open ones of a cause."""
    if not by:
        raise typer.BadParameter("say with --by who takes them, for example --by coordinator")
    if bool(alert_ids) == bool(cause):
        raise typer.BadParameter("name either alerts or one --cause")
    api = api_from(data_dir, url)
    if cause:
        standing = {one["cause"]: one for one in api.get("/v1/alerts/causes")["causes"]}
        if cause not in standing:
            raise ApiError(f"no alert of the cause {cause} stands; `cart-encounter alerts causes` lists them")
        open_ones = {one["alert_id"] for one in api.get("/v1/alerts?state=open")["alerts"]}
        alert_ids = [each for each in standing[cause]["alerts"] if each in open_ones]
    for alert_id in alert_ids or ():
        taken = api.post(f"/v1/alerts/{quote(alert_id, safe='')}/acknowledge", {"by": by, "note": note})
        typer.echo(f"{taken['alert_id']}  {taken['state']}  {taken['title']}")


@alerts_app.command("dead-letters")
def dead_letters(data_dir: DataDir = Path("data"), url: Url = None, as_json: Json = None) -> None:
    """Messages about alerts that were given up, with the last error; try one again with `alerts retry`."""
    answer = api_from(data_dir, url).get("/v1/alerts/deliveries?state=dead")
    tell(answer, lambda it: [_delivery_lines(one) for one in it["deliveries"]] or ["no message was given up"], as_json)


@alerts_app.command()
def retry(
    delivery_ids: Annotated[list[str], typer.Argument(help="ids of messages")],
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Try messages again that were given up or wait."""
    for delivery_id in delivery_ids:
        queued = api_from(data_dir, url).post(f"/v1/alerts/deliveries/{quote(delivery_id, safe='')}/retry", {})
        typer.echo(f"{queued['delivery_id']}  {queued['state']}  {queued['destination']}")


@alerts_app.command()
def check(file: Path) -> None:
    """Check a destinations file (CART_ALERTS_FILE); names every field at fault."""
    try:
        found = read_destinations(file)
    except DestinationsError as error:
        raise ApiError(str(error)) from None
    for each in found.destinations:
        owners = ", ".join(sorted(each.owners)) if each.owners else "every owner"
        typer.echo(f"{each.name}: {each.kind} {each.url}  {', '.join(sorted(each.severities))}  {owners}")
    typer.echo(f"{len(found.destinations)} destinations")


def _alert_lines(one: Answer) -> str:
    late = f"  acknowledge by {one['acknowledge_by'][:16]}" if one["state"] == "open" else ""
    raised = f"  escalated {one['escalations']}x" if one["escalations"] else ""
    return (
        f"{one['alert_id']}  {one['severity']:8} {one['state']:12} {one['owner']}{late}{raised}\n"
        f"    {one['title']}  [{one['encounter_id'] or 'whole house'}, {one['citation']}]\n"
        f"    -> {one['action']}"
    )


def _cause_lines(one: Answer) -> str:
    where = _count(len(one["encounters"]), "encounter") if one["encounters"] else "whole house"
    return (
        f"{one['cause']}  {one['severity']}  {_count(len(one['alerts']), 'alert')}, {one['open']} open, {where}, "
        f"{', '.join(one['owners'])}\n    {one['title']}\n    -> {one['action']}"
    )


def _delivery_lines(one: Answer) -> str:
    return (
        f"{one['delivery_id']}  {one['destination']}  {one['change']} {one['cause']}: {_count(len(one['alert_ids']), 'alert')}, "
        f"tried {_count(one['attempts'], 'time')}, {one['last_error']}"
    )


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"
