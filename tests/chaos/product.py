"""One product process of the first half: gateway, delivery, payer files and activities on a data directory.

It serves one operation after the other over a pipe and is killed, frozen and limited by `kinds.py`. Everything it knows is on
disk; what it asks of the world outside (a Temporal server, a clock that jumps) goes back over the pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import encounter
from activities.alerting import deliver as alert_delivery
from activities.alerts import AlertActivities
from activities.claim import ClaimActivities
from activities.decisions import DecisionService
from activities.encounter import EncounterActivities
from activities.watch import WatchActivities
from app.api.access import Access
from app.cli.verify import verify_store
from app.process.gateway import create_gateway
from app.process.sealing import SealWriter
from app.process.worker import destinations_of
from app.settings import Settings
from domain.billing.x12.entries import Item, Opened
from domain.billing.x12.response_files import read
from intake import delivery
from intake.payer_files import importer
from intake.payer_files.directory import ReplyDirectory
from intake.payer_files.reading_child import Limit
from intake.site_mapping import parse_mapping
from store import delivery_leases
from store.alerts import work_waiting
from store.config import ConfigCache
from store.engine import Database
from store.keys import read_keyring
from store.unit import Store
from tests.chaos.outcome import numbers, outcome
from tests.chaos.points import Points
from tests.kit.files import HL7_FILE

TOKEN = "a-token-of-the-faults-long-enough"
PATIENCE = 0.15
"""Seconds that a writer waits for the database: short, so that a held lock is met."""
DEFINITION = "__temporal_activity_definition"
DRAIN_SECONDS = 40.0
DEAF = "the answer is lost"

Ask = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Place:
    """What a process is started on."""

    home: Path
    site: Path
    alerts: Path
    name: str = ""


class Temporal:
    """The client of a Temporal server, as far as the product calls it; each call is two points."""

    def __init__(self, ask: Ask, points: Points) -> None:
        self._ask, self._points = ask, points

    async def start_workflow(self, kind: str, *arguments: Any, id: str, **options: Any) -> None:
        signal = options.get("start_signal")
        given = arguments or tuple(options.get("args") or ())
        running = options.get("id_conflict_policy") is WorkflowIDConflictPolicy.USE_EXISTING
        self._points.hit("call", "start_workflow")
        self._ask("start", kind, id, given, signal, tuple(options.get("start_signal_args") or ()), running)
        self._points.hit("called", "start_workflow")

    async def note(self, encounter: str, note: Any) -> None:
        self._points.hit("call", "update")
        self._ask("note", encounter, note)
        self._points.hit("called", "update")


def unreachable() -> RPCError:
    return RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")


@cache
def config_of(site: Path) -> ConfigCache:
    """Rulebook and site, read once for all forked processes."""
    config = ConfigCache("current", None, site)
    config.rules()
    config.site()
    return config


class Product:
    """The parts of the product on one directory.

    Args:
        ask: asks the world outside.
    """

    def __init__(self, place: Place, points: Points, ask: Ask) -> None:
        self.place, self.points, self.ask = place, points, ask
        self.now, self.offset = datetime.now(UTC), timedelta(0)
        settings = self.settings = Settings(data_dir=place.home, site_file=place.site, alerts_file=place.alerts)
        config = config_of(place.site)
        self.keys = read_keyring(settings.key_file)
        self.db = Database(settings.database, config.last_rules, PATIENCE)
        points.watch_database(self.db.engine)
        self.temporal = Temporal(ask, points)
        service = self.service = DecisionService(Store(self.db, self.keys, config))
        client: Any = self.temporal
        self.activities = {
            getattr(one, DEFINITION).name: one
            for one in (
                *EncounterActivities(service, client).all,
                *ClaimActivities(service, settings.outbox).all,
                *WatchActivities(service).all,
                *AlertActivities(service, destinations_of(settings)).all,
            )
        }
        mapping = parse_mapping(HL7_FILE.read_text(encoding="utf-8"))
        self.api = create_gateway(
            db=self.db,
            keys=self.keys,
            access=Access.from_token_file(settings.token_file),
            site=config.site(),
            rules=config.rules,
            clock=self.clock,
            mapping=mapping,
        )
        self.replies = ReplyDirectory(self.db, self.keys, settings.inbox, config.site, self.clock, timedelta(minutes=2))
        self.runner = asyncio.Runner()
        self._http: httpx.AsyncClient | None = None

    def clock(self) -> datetime:
        return self.now + self.offset

    def post(self, events: list[dict[str, Any]], now: datetime) -> tuple[int, list[str]]:
        """Status and dispositions."""
        self.now = now
        return self.runner.run(self._post(events))

    async def _post(self, events: list[dict[str, Any]]) -> tuple[int, list[str]]:
        if self._http is None:
            transport = httpx.ASGITransport(self.api, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
            self._http = httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)
        answer = await self._http.post("/v1/events", content=json.dumps(events).encode())
        receipts = answer.json().get("receipts", ()) if answer.status_code == 202 else ()
        return answer.status_code, [one["disposition"] for one in receipts]

    def deliver(self) -> None:
        """Deliver until nothing is undelivered."""
        deliverer = delivery.Deliverer(self.db, self.temporal.note, keys=self.keys)
        self.runner.run(self._drained(deliverer))

    async def _drained(self, deliverer: delivery.Deliverer) -> None:
        async with asyncio.timeout(DRAIN_SECONDS):
            await deliverer.drain()

    def tidy(self, now: datetime) -> None:
        """What the gateway does twice a minute."""
        delivery.Deliverer(self.db, self.temporal.note, keys=self.keys).tidy(self.keys, now)

    def seal(self, now: datetime) -> None:
        """One round of sealing."""
        self.runner.run(SealWriter(self.db, self.keys, lambda: now).round())

    def sweep(self, now: datetime) -> int:
        """Take payer files in; returns how many still wait."""
        self.now = now
        self.replies.sweep()
        inbox = self.settings.inbox
        return sum(1 for path in inbox.iterdir() if path.is_file()) if inbox.is_dir() else 0

    def act(self, name: str, arguments: tuple[Any, ...], run: str, attempt: int) -> Any:
        """One try of an activity."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, activity_type=name, workflow_run_id=run, workflow_id=run.split("#")[0], attempt=attempt
        )
        result = environment.run(self.activities[name], *arguments)
        return self.runner.run(result) if asyncio.iscoroutine(result) else result

    def alert_work(self, now: datetime) -> tuple[int, str | None, int]:
        """What the poller of alerts sees."""
        with self.db.read() as session:
            return work_waiting(session, now)

    def numbers(self) -> dict[str, str]:
        return numbers(self.db)

    def outcome(self) -> dict[str, Any]:
        """What the database shows at the end, and what the product's own check of its chains says."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = verify_store(self.settings, None)
        found = outcome(self.db, self.keys, self.settings.outbox)
        found["verified"] = (code, "" if code == 0 else said.getvalue())
        return found

    def end(self) -> None:
        self.db.close()


Client.start_workflow  # noqa: B018 the method that `Temporal.start_workflow` stands for


def read_here(payload: importer.Payload, zone: tzinfo) -> Iterator[Item]:
    """Reads a payer file without the reading process, whose start would cost more than all the rest."""
    for item in read(payload.pieces(), UTC, Limit(10.0)):
        if isinstance(item, Opened):
            item = Opened(item.sender, item.number, item.test, item.made.replace(tzinfo=zone))
        yield item


def quicken() -> None:
    """Shorter waits than in production, the same code."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    delivery.FIRST_PAUSE = 0.02
    delivery.LONGEST_PAUSE = 0.1
    delivery.LEASE = delivery_leases.LEASE = timedelta(seconds=1)
    encounter.PAUSES = (0.02, 0.05)
    alert_delivery.TIMEOUT_SECONDS = 0.3
    importer.read_apart = read_here
    # The pager is spoken to in plain HTTP: no certificates are read for it.
    httpx._transports.default.create_ssl_context = lambda **_options: None


def repeatable(seed: str) -> None:
    """Random ids that are the same in every run: what is sorted by them then is, too."""
    chance = random.Random(seed)
    secrets.token_bytes = lambda count=32: chance.randbytes(count or 32)
    secrets.token_hex = lambda count=32: chance.randbytes(count or 32).hex()


def serve(connection: Connection, place: Place, arm: Mapping[str, Any] | None) -> None:
    """Serve operations until the pipe ends. The process has one thread of its own and is forked for this."""
    from tests.chaos import kinds

    quicken()
    repeatable(place.name)
    points = Points(place.home)
    points.watch_files()
    points.watch_awaits()

    def ask(name: str, *arguments: Any) -> Any:
        connection.send(("ask", name, arguments))
        answer = connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    product = Product(place, points, ask)
    fault = kinds.arm(points, product, ask, arm) if arm else None
    while True:
        try:
            operation, arguments = connection.recv()
        except EOFError:
            break
        if operation == "points":
            connection.send(("done", points.labels))
            continue
        name = f"act {arguments[0]}" if operation == "act" else operation
        points.operation, points.counting = name, operation not in ("outcome", "numbers", "alert_work")
        try:
            points.hit("begins")
            answer = getattr(product, operation)(*arguments)
            points.hit("ends")
            message = ("done", answer)
        except kinds.AnswerLost:
            message = ("failed", DEAF)
        except BaseException as error:  # noqa: BLE001 the world outside tries again
            message = ("failed", f"{type(error).__name__}: {error}"[:500])
        points.counting = False
        if fault is not None:
            fault.after()
        connection.send(message)
    product.end()
    os._exit(0)
