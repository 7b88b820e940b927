"""A real Prometheus and Alertmanager on loopback, with the repository's configuration made quick, and what receives."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.metrics import free_port
from tests.kit.files import DEPLOY
from tests.kit.promql import RULES


class Receiver:
    """Keeps every alert that is delivered, by the path it was posted to."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, dict[str, Any]]] = []
        kept = self.delivered

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept.extend((self.path.strip("/"), alert) for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def find(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """The receiver of the alert of that name, and its content."""
        return next((each for each in self.delivered if each[1]["labels"]["alertname"] == name), None)


class Exposition:
    """Serves a text as `/metrics`; the text may be changed while it serves."""

    def __init__(self, text: str) -> None:
        self.text = text
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(outer.text.encode())

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Program:
    """A child process that is ended with the test."""

    def __init__(self, directory: Path, *command: str) -> None:
        self.log = directory / f"{Path(command[0]).name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=directory)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_prometheus(
    binary: str, directory: Path, targets: Mapping[str, str], alertmanager: str
) -> tuple[Program, str]:
    """The repository's scrape jobs and rules, on other targets, every second and without waiting times."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = [targets[job["job_name"]]]
    (directory / "rules").mkdir()
    for path in RULES:
        (directory / "rules" / path.name).write_text(re.sub(r"for: \w+", "for: 0s", path.read_text()))
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    where = f"127.0.0.1:{free_port()}"
    program = Program(
        directory,
        binary,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address={where}",
        f"--web.console.templates={DEPLOY / 'prometheus' / 'consoles'}",
        "--log.level=warn",
    )
    return program, where


def start_alertmanager(binary: str, directory: Path, receiver: str) -> tuple[Program, str]:
    """The repository's routes and inhibitions, delivering at once to one receiver."""
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in config["receivers"]:
        each["webhook_configs"][0]["url"] = f"{receiver}/{each['name']}"
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(config))
    where = f"127.0.0.1:{free_port()}"
    program = Program(
        directory,
        binary,
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={where}",
        "--cluster.listen-address=",
        "--log.level=warn",
    )
    return program, where


def alerts_of(alertmanager: str) -> list[dict[str, Any]]:
    """What Alertmanager holds, inhibited alerts included; nothing while it starts."""
    try:
        answer = httpx.get(f"http://{alertmanager}/api/v2/alerts", timeout=2)
    except httpx.HTTPError:
        return []
    found: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
    return found
