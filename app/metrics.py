"""`/metrics`: the SDK's own numbers, this process's counters, and what the database knows, in one exposition."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select

from activities.store.engine import Database
from activities.store.tables import AlertRecord, ClaimVersion, Encounter, EncounterEvent, Quarantine

CORE_TIMEOUT_SECONDS = 2


class StoreMetrics(Collector):
    """Encounters by stage and hold, alerts, claims and intake as the database has them now. No identifier of a person."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("cart_store_up", "1 while the database answers.")
        try:
            families = list(self._families())
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families

    def _families(self) -> Iterator[GaugeMetricFamily]:
        with self.db.read() as session:
            yield _counted(
                "cart_encounters",
                "Encounters by stage, and whether any hold stands.",
                ["stage", "held"],
                session.exec(
                    select(Encounter.stage, col(Encounter.holds_open) > 0, func.count()).group_by(
                        col(Encounter.stage), col(Encounter.holds_open) > 0
                    )
                ).all(),
            )
            yield _counted(
                "cart_alerts_open",
                "Alerts that are not resolved, by kind, severity and state.",
                ["kind", "severity", "state"],
                session.exec(
                    select(AlertRecord.kind, AlertRecord.severity, AlertRecord.state, func.count())
                    .where(AlertRecord.state != "resolved")
                    .group_by(AlertRecord.kind, AlertRecord.severity, AlertRecord.state)
                ).all(),
            )
            yield _counted(
                "cart_claims",
                "Claim versions by letter and state.",
                ["letter", "state"],
                session.exec(
                    select(ClaimVersion.letter, ClaimVersion.state, func.count()).group_by(
                        ClaimVersion.letter, ClaimVersion.state
                    )
                ).all(),
            )
            yield _counted(
                "cart_claim_dollars",
                "Total charges of claim versions by letter and state, in United States dollars.",
                ["letter", "state"],
                session.exec(
                    select(ClaimVersion.letter, ClaimVersion.state, func.sum(ClaimVersion.total)).group_by(
                        ClaimVersion.letter, ClaimVersion.state
                    )
                ).all(),
            )
            yield _counted(
                "cart_inbox_undelivered",
                "Events stored and not yet noted by their encounter.",
                [],
                session.exec(
                    select(func.count()).select_from(EncounterEvent).where(col(EncounterEvent.delivered_at).is_(None))
                ).all(),
            )
            yield _counted(
                "cart_quarantine_waiting",
                "Events in quarantine.",
                [],
                session.exec(select(func.count()).select_from(Quarantine).where(Quarantine.state == "waiting")).all(),
            )


def _counted(name: str, text: str, labels: list[str], rows: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for row in rows:  # type: ignore[attr-defined]
        values = tuple(row) if isinstance(row, tuple) or hasattr(row, "_fields") else (row,)
        family.add_metric([str(value).lower() for value in values[:-1]], float(values[-1] or 0))
    return family


def exposition(core_port: int | None) -> bytes:
    """This registry, and behind it the SDK core's own exposition where the process has one."""
    own = generate_latest(REGISTRY)
    if core_port is None:
        return own
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{core_port}/metrics", timeout=CORE_TIMEOUT_SECONDS) as answer:
            return own + bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return own


def register_store_metrics(db: Database) -> None:
    """Add what the database knows to this process's registry."""
    REGISTRY.register(StoreMetrics(db))


def serve_metrics(host: str, port: int, db: Database, core_port: int | None) -> ThreadingHTTPServer:
    """Serve `/metrics` in a thread of its own."""
    register_store_metrics(db)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.split("?")[0] in ("/metrics", "/healthz")
            body = exposition(core_port) if known and "metrics" in self.path else b"ok\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
