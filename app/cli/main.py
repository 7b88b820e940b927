"""`cart-encounter`: one command line for every process and every query.

Server modules are imported only by the commands that run them, so that queries start fast.
"""

from __future__ import annotations

import asyncio
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from app.cli.alerts import alerts_app
from app.cli.audit import audit
from app.cli.backup import backup
from app.cli.emergency import emergency_app
from app.cli.encounter_text import receipt_lines
from app.cli.encounters import DataDir, Json, Url, claims, holds, print_answer, show, timeline
from app.cli.feed import feed_app
from app.cli.hl7 import hl7_app
from app.cli.imports import import_
from app.cli.packets import packet
from app.cli.preflight import preflight
from app.cli.quarantine import quarantine_app
from app.cli.reconcile import reconcile_app
from app.cli.restore import restore
from app.cli.rules import rules_app
from app.cli.simulate import simulate
from app.cli.vault import vault_app
from app.cli.worklists import reply, worklist
from app.client import ApiError, api_from
from app.process.deployment import deploy_app
from app.process.logs import configure_logging, core_log, started
from app.process.operator_errors import in_one_line
from app.settings import GATEWAY, Settings
from store.step_log import log_step

if TYPE_CHECKING:
    from app.process.serving import GatewaySettings


class Ledgers(StrEnum):
    """Names of the sealed ledgers, for the command line."""

    audit = "audit"
    submissions = "submissions"
    inbox = "inbox"
    alerts = "alerts"
    alerts_resolved = "alerts resolved"
    removals = "removals"


cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The CAR-T encounter orchestrator: from referral to the last payment.",
)
cli.add_typer(rules_app, name="rules")
cli.add_typer(deploy_app, name="deploy")
cli.add_typer(vault_app, name="vault")
cli.add_typer(hl7_app, name="hl7")
cli.add_typer(feed_app, name="feed")
cli.add_typer(alerts_app, name="alerts")
cli.add_typer(quarantine_app, name="quarantine")
cli.add_typer(emergency_app, name="emergency")
cli.add_typer(reconcile_app, name="reconcile")
cli.command()(backup)
cli.command()(restore)
cli.command()(simulate)
cli.command()(preflight)
cli.command()(packet)
cli.command("import")(import_)
cli.command()(audit)
for query in (show, holds, timeline, claims, worklist, reply):
    cli.command()(query)


@cli.command()
def up(
    data_dir: DataDir = Path("data"),
    site: Annotated[Optional[Path], typer.Option(help="site file (default: the example site)")] = None,
    rules: Annotated[
        Optional[Path], typer.Option(help="directory of rulebook tables (default: the packaged tables)")
    ] = None,
    edition: Annotated[str, typer.Option(help="rulebook edition: current or guide")] = "current",
    http_port: int = 8700,
    mllp_port: int = 2575,
    temporal_port: int = 7233,
    ui_port: int = 8233,
    metrics_port: int = 9464,
    time_skipping: Annotated[bool, typer.Option(help="allow clients to skip clinical time (demo and tests)")] = False,
) -> None:
    """Run the embedded stack: Temporal server with UI, worker and gateway. Port 0 uses any free port."""
    from app.process.supervisor import StackOptions, run_stack

    options = StackOptions(
        data_dir, site, rules, edition, http_port, mllp_port, temporal_port, ui_port, metrics_port, time_skipping
    )
    _run(run_stack(options, lambda line: print(line, flush=True)))


@cli.command()
def worker() -> None:
    """Run one worker with the Temporal server and database of the environment (CART_…)."""
    settings = Settings()
    configure_logging("worker", settings.log_level)
    from app.process.worker import run_worker

    _run(run_worker(settings))


@cli.command()
def gateway() -> None:
    """Run one gateway: receives events over HTTP, serves API and board, delivers events to encounters."""
    from app.process.serving import GatewaySettings

    settings = GatewaySettings()
    configure_logging("gateway", settings.log_level)
    _run(_serve_gateway(settings))


async def _serve_gateway(settings: GatewaySettings) -> None:
    from temporalio.runtime import Runtime, TelemetryConfig

    from app.metrics import register_store_metrics
    from app.process.connect import open_home, temporal_access
    from app.process.serving import PATIENCE, bound, build_gateway, server_of

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=core_log())))
    temporal_access(settings)  # reports wrong settings now: a gateway connects only at its first delivery
    home = open_home(settings, PATIENCE, GATEWAY)
    register_store_metrics(home.db, home.config, home.keys)
    try:
        server = server_of(settings, build_gateway(settings, home))
        listening = bound("CART_HTTP_PORT", settings.http_host, settings.http_port)
        started(settings, http="{}:{}".format(*listening.getsockname()[:2]))
        await server.serve([listening])
    finally:
        log_step("process.stopped")
        home.db.close()


@cli.command()
def post(file: Path, data_dir: DataDir = Path("data"), as_json: Json = None, url: Url = None) -> None:
    """Send a file of CloudEvents: one event or an array of events."""
    answer = api_from(data_dir, url).post("/v1/events", json.loads(file.read_text()))
    print_answer(answer, receipt_lines, as_json)


@cli.command()
def verify(
    encounter: Annotated[
        Optional[str], typer.Argument(help="encounter ID or any identifier of the encounter (default: all encounters)")
    ] = None,
    data_dir: DataDir = Path("data"),
    exported: Annotated[
        Optional[Path], typer.Option("--export", help="check an exported file instead of the database")
    ] = None,
    since: Annotated[
        Optional[str], typer.Option(help="head hash of an earlier check: fails if entries up to it were removed")
    ] = None,
    ledger: Annotated[
        Optional[list[Ledgers]], typer.Option(help="check only these ledgers, not the custody timelines")
    ] = None,
    since_heads: Annotated[
        Optional[Path], typer.Option(help="file of --write-heads: fails if anything sealed then was removed or changed")
    ] = None,
    heads_file: Annotated[
        Optional[Path], typer.Option("--write-heads", help="write the signed heads of every ledger to a new file")
    ] = None,
) -> None:
    """Check custody timelines and sealed ledgers (audit, submissions, inbox, alerts); shows what is broken, by record."""
    from app.cli.verify import verify_file, verify_store
    from app.cli.verify_ledgers import verify_ledgers, write_heads
    from store.keys import KeyFileError

    settings = Settings().model_copy(update={"data_dir": data_dir})
    if exported:
        sys.exit(verify_file(settings, exported, encounter, since))
    if heads_file:
        try:
            sys.exit(write_heads(settings, heads_file))
        except (KeyFileError, FileExistsError) as error:
            raise typer.BadParameter(str(error)) from None
    code = 0 if ledger else verify_store(settings, encounter, since)
    if encounter is None:
        code = max(code, verify_ledgers(settings, [one.value for one in ledger or ()], since_heads))
    sys.exit(code)


@cli.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="file to write; it must not exist yet")],
    encounter: Annotated[
        Optional[str], typer.Argument(help="encounter ID or any identifier of the encounter (default: all encounters)")
    ] = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Export the custody timelines with their hashes; `verify --export` checks the file without the database."""
    from app.cli.verify import export_store
    from store.keys import KeyFileError

    try:
        code = export_store(Settings().model_copy(update={"data_dir": data_dir}), file, encounter)
    except (KeyFileError, FileExistsError) as error:
        raise typer.BadParameter(str(error)) from None
    sys.exit(code)


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="keep the stack running after the demo")] = False,
    data_dir: Annotated[
        Optional[Path], typer.Option(help="data directory of the demo (default: a new temporary one)")
    ] = None,
) -> None:
    """Run every scenario on a stack that skips clinical time, and compare the results with the expected ones."""
    from app.tools.demo import run_demo

    _run(run_demo(keep=keep, data_dir=data_dir))


@cli.command()
def site(file: Path) -> None:
    """Check a site file; shows every field with an error."""
    from domain.site import SiteError, parse_site

    try:
        parsed = parse_site(file.read_text())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    except SiteError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(1)
    print(
        f"{parsed.name}: {len(parsed.facilities)} facilities, {len(parsed.payers)} payers, {len(parsed.charges)} charges"
    )


def _run(coroutine: Any) -> None:
    """Runs a coroutine and exits with its code."""

    async def whole() -> int:
        try:
            return int(await coroutine or 0)
        finally:
            # The SDK's core may crash the interpreter when it exits at once.
            await asyncio.sleep(0.05)

    sys.exit(asyncio.run(whole()))


def main() -> None:
    """Runs the console script; an error that an operator can fix is one line, exit code 1, or 2 at start."""
    try:
        cli()
    except Exception as error:
        line = in_one_line(error)
        if line is None:
            raise
        print(f"cart-encounter: {line}", file=sys.stderr)
        sys.exit(1 if isinstance(error, ApiError) else 2)


if __name__ == "__main__":
    main()
