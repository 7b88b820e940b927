"""Commands that run for as long as they are needed: the embedded stack, one worker, one gateway, the demo."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from app.cli.options import DataDir
from app.process.logs import configure_logging, core_log, started
from app.settings import GATEWAY, Settings
from store.step_log import log_step

if TYPE_CHECKING:
    from app.process.serving import GatewaySettings


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


def worker() -> None:
    """Run one worker with the Temporal server and database of the environment (CART_…)."""
    settings = Settings()
    configure_logging("worker", settings.log_level)
    from app.process.worker import run_worker

    _run(run_worker(settings))


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


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="keep the stack running after the demo")] = False,
    data_dir: Annotated[
        Optional[Path], typer.Option(help="data directory of the demo (default: a new temporary one)")
    ] = None,
) -> None:
    """Run every scenario on a stack that skips clinical time, and compare the results with the expected ones."""
    from app.tools.demo import run_demo

    _run(run_demo(keep=keep, data_dir=data_dir))


def _run(coroutine: Any) -> None:
    """Runs a coroutine and exits with its code."""

    async def whole() -> int:
        try:
            return int(await coroutine or 0)
        finally:
            # The SDK's core may crash the interpreter when it exits at once.
            await asyncio.sleep(0.05)

    sys.exit(asyncio.run(whole()))
