"""`demo`: runs every scenario over HTTP on a stack that skips clinical time, and compares results."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from temporalio.client import Client

from app.settings import CannotStart
from app.tools.demo_player import Course, DemoFailed, Gateway, Player
from app.tools.demo_report import WIDTH, Board, summary
from app.tools.demo_stack import RunningStack, start_stack, stop_stack
from app.tools.scenario_expectations import Scenario, scenarios


async def run_demo(keep: bool = False, data_dir: Path | None = None) -> int:
    """Runs all scenarios; returns 0 if each has its expected outcome, else 1.

    Each referral is dated today; deadlines pass in each encounter's own time.

    Raises:
        CannotStart: the stack does not start, or the directory was used before.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    began = time.monotonic()
    where = data_dir or Path(tempfile.mkdtemp(prefix="cart-demo-"))
    if (where / "token").exists():
        raise CannotStart(f"{where} was used before; give an empty --data-dir")
    console.print(f"Starting the stack in {where} …")
    stack = await start_stack(where)
    kept = False
    try:
        courses = await _play_all(console, stack)
        kept = keep
        summary(console, courses, stack, time.monotonic() - began, kept)
        return 1 if any(course.problems for course in courses) else 0
    except DemoFailed as error:
        console.print(f"[red]{error}[/red]\nLogs: {where / 'logs'}")
        return 1
    finally:
        if not kept:
            await stop_stack(stack)


async def _play_all(console: Console, stack: RunningStack) -> list[Course]:
    played = scenarios()
    board = Board(console)
    temporal = await Client.connect(stack.temporal)
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with httpx.AsyncClient(base_url=stack.http, headers=headers, timeout=60) as http:
        players = [_player(scenario, Gateway(http), temporal, board) for scenario in played]
        with board.progress:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(player.play()) for player in players]
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _player(scenario: Scenario, gateway: Gateway, temporal: Client, board: Board) -> Player:
    """Returns a player whose first event is today, in the feed's time zone."""
    today = datetime.now(ZoneInfo(scenario.feed.zone)).date()
    board.add(scenario)
    return Player(scenario, today - timedelta(days=scenario.feed.first_day), gateway, temporal, board.moved)
