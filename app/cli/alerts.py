"""`cart-encounter alerts`: list and acknowledge alerts, retry undelivered messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional
from urllib.parse import quote, urlencode

import typer

from activities.alerting.destinations import DestinationsError, read_destinations
from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import ApiError, api_from

alerts_app = typer.Typer(
    no_args_is_help=True, help="Alerts: list, group by cause, acknowledge, retry messages, check destinations."
)

Answer = Mapping[str, Any]


@alerts_app.command("list")
def list_alerts(
    encounter: Annotated[Optional[str], typer.Option("--encounter", help="only of one encounter")] = None,
    state: Annotated[Optional[str], typer.Option(help="open, acknowledged or resolved")] = None,
    severity: Annotated[Optional[str], typer.Option(help="critical, warning or info")] = None,
    kind: Annotated[Optional[str], typer.Option(help="alert kind of the rulebook")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
    as_json: Json = None,
) -> None:
    """List alerts: ID, severity, state, owner, acknowledgment deadline, title, next step."""
    if encounter and (severity or kind):
        raise typer.BadParameter("--encounter can be combined with --state only")
    filters = {key: value for key, value in (("state", state), ("severity", severity), ("kind", kind)) if value}
    path = f"/v1/encounters/{quote(encounter, safe='')}/alerts" if encounter else "/v1/alerts"
    answer = api_from(data_dir, url).get(path + (f"?{urlencode(filters)}" if filters else ""))
    print_answer(answer, lambda it: [_alert_lines(one) for one in it["alerts"]] or ["no alerts"], as_json)


@alerts_app.command()
def causes(data_dir: DataDir = Path("data"), url: Url = None, as_json: Json = None) -> None:
    """List unresolved alerts by cause."""
    answer = api_from(data_dir, url).get("/v1/alerts/causes")
    print_answer(answer, lambda it: [_cause_lines(one) for one in it["causes"]] or ["no unresolved alerts"], as_json)


@alerts_app.command()
def acknowledge(
    alert_ids: Annotated[Optional[list[str]], typer.Argument(help="alert IDs")] = None,
    by: Annotated[str, typer.Option("--by", help="role that acknowledges")] = "",
    note: Annotated[Optional[str], typer.Option("--note", help="note, stored encrypted")] = None,
    cause: Annotated[Optional[str], typer.Option("--cause", help="all open alerts of this cause")] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Acknowledge alerts by ID, or all open alerts of a cause."""
    if not by:
        raise typer.BadParameter("--by is missing: the role that acknowledges, for example --by coordinator")
    if bool(alert_ids) == bool(cause):
        raise typer.BadParameter("give either alert IDs or one --cause")
    api = api_from(data_dir, url)
    if cause:
        unresolved = {one["cause"]: one for one in api.get("/v1/alerts/causes")["causes"]}
        if cause not in unresolved:
            raise ApiError(f"No open alert has cause {cause}. List causes: `cart-encounter alerts causes`")
        open_ones = {one["alert_id"] for one in api.get("/v1/alerts?state=open")["alerts"]}
        alert_ids = [each for each in unresolved[cause]["alerts"] if each in open_ones]
    for alert_id in alert_ids or ():
        alert = api.post(f"/v1/alerts/{quote(alert_id, safe='')}/acknowledge", {"by": by, "note": note})
        typer.echo(f"{alert['alert_id']}  {alert['state']}  {alert['title']}")


@alerts_app.command("dead-letters")
def dead_letters(data_dir: DataDir = Path("data"), url: Url = None, as_json: Json = None) -> None:
    """List alert messages that could not be delivered, with the last error. Retry with `alerts retry`."""
    answer = api_from(data_dir, url).get("/v1/alerts/deliveries?state=dead")
    print_answer(
        answer, lambda it: [_delivery_lines(one) for one in it["deliveries"]] or ["no undelivered messages"], as_json
    )


@alerts_app.command()
def retry(
    delivery_ids: Annotated[list[str], typer.Argument(help="message IDs")],
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Send undelivered or waiting alert messages again."""
    for delivery_id in delivery_ids:
        queued = api_from(data_dir, url).post(f"/v1/alerts/deliveries/{quote(delivery_id, safe='')}/retry", {})
        typer.echo(f"{queued['delivery_id']}  {queued['state']}  {queued['destination']}")


@alerts_app.command()
def check(file: Path) -> None:
    """Check a destinations file (CART_ALERTS_FILE); shows every field with an error."""
    try:
        found = read_destinations(file)
    except DestinationsError as error:
        raise ApiError(str(error)) from None
    for each in found.destinations:
        owners = ", ".join(sorted(each.owners)) if each.owners else "all owners"
        typer.echo(f"{each.name}: {each.kind} {each.url}  {', '.join(sorted(each.severities))}  {owners}")
    typer.echo(f"{len(found.destinations)} destinations")


def _alert_lines(one: Answer) -> str:
    late = f"  acknowledge by {one['acknowledge_by'][:16]}" if one["state"] == "open" else ""
    raised = f"  escalated {one['escalations']}x" if one["escalations"] else ""
    return (
        f"{one['alert_id']}  {one['severity']:8} {one['state']:12} {one['owner']}{late}{raised}\n"
        f"    {one['title']}  [{one['encounter_id'] or 'all facilities'}]\n"
        f"    -> {one['action']}"
    )


def _cause_lines(one: Answer) -> str:
    where = _count(len(one["encounters"]), "encounter") if one["encounters"] else "all facilities"
    return (
        f"{one['cause']}  {one['severity']}  {_count(len(one['alerts']), 'alert')}, {one['open']} open, {where}, "
        f"{', '.join(one['owners'])}\n    {one['title']}\n    -> {one['action']}"
    )


def _delivery_lines(one: Answer) -> str:
    return (
        f"{one['delivery_id']}  {one['destination']}  {one['change']} {one['cause']}: {_count(len(one['alert_ids']), 'alert')}, "
        f"{_count(one['attempts'], 'attempt')}, {one['last_error']}"
    )


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"
