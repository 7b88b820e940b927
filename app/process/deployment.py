"""`cart-encounter deploy`: setup steps before workers and gateways start. Every step can be repeated."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.process.codec import codec_path
from app.process.connect import temporal_access
from app.process.installation import install
from app.settings import COMMAND, CannotStart, Settings
from store.encounters import deliver_last_event_again
from store.engine import Database
from store.keys import read_keyring
from workflows.search_attributes import MEANING, REGISTRY

RETENTION = timedelta(days=90)
"""How long the server keeps the history of a closed workflow; the facts are in the database."""

deploy_app = typer.Typer(no_args_is_help=True, help="Set up an installation: keys, database, Temporal.")

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="CART_DATA_DIR", help="directory for key file and token")]


@deploy_app.command()
def keys(data_dir: DataDir = Path("data")) -> None:
    """Create key file and token if missing, else check them."""
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings().model_copy(update={"data_dir": data_dir})
    try:
        install(settings)
    except CannotStart as error:
        typer.echo(f"cart-encounter: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{settings.key_file} and {settings.token_file} exist; keep a copy of both apart from the database")


@deploy_app.command()
def migrate() -> None:
    """Upgrade the database schema to the newest revision; waits for what holds a lock and names it."""
    settings = Settings()
    db = Database(settings.database, limits=settings.migration_limits)
    try:
        db.migrate(lambda line: typer.echo(line, err=True), settings.migrate_try_seconds)
    finally:
        db.close()
    typer.echo("the schema is current")


@deploy_app.command()
def temporal() -> None:
    """Create the namespace and its search attributes on the Temporal server."""
    asyncio.run(_temporal(Settings()))


@deploy_app.command()
def redeliver() -> None:
    """After a restore of the Temporal server: restart every encounter that is open or has an open claim."""
    settings = Settings()
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        count = wake_encounters(db)
    finally:
        db.close()
    typer.echo(f"{count} encounters with open work; a gateway restarts them")


def wake_encounters(db: Database) -> int:
    """Marks the last event of every encounter with open work as undelivered; returns how many.

    Claims can stay open after their encounter closed: such an encounter restarts the claim's timers and closes again.
    """
    with db.write() as session:
        return deliver_last_event_again(session)


@deploy_app.command()
def codec(data_dir: DataDir = Path("data")) -> None:
    """Print the codec server's secret path, for a Temporal UI without login. Treat it as a password."""
    typer.echo(codec_path(read_keyring(Settings().model_copy(update={"data_dir": data_dir}).key_file)))


@deploy_app.command("search-attributes")
def search_attributes() -> None:
    """List the search attributes with their type and meaning."""
    for name, kind in REGISTRY.items():
        typer.echo(f"{name:20} {type_name(kind):12} {MEANING[name]}")


async def _temporal(settings: Settings) -> None:
    try:
        client = await Client.connect(settings.temporal_address, **temporal_access(settings))
        made = await register(client, settings.temporal_namespace)
        typer.echo(f"namespace {settings.temporal_namespace}: {', '.join(made) if made else 'no changes needed'}")
    finally:
        # The SDK's core may crash the interpreter when it exits at once.
        await asyncio.sleep(0.05)


async def register(client: Client, namespace: str) -> list[str]:
    """Creates the namespace and search attributes that are missing; returns what was created.

    Raises:
        ValueError: an attribute of that name has another type; nothing is changed.
    """
    made = await _make_namespace(client, namespace)
    operator = client.operator_service
    known = (await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))).custom_attributes
    wrong = [name for name, kind in REGISTRY.items() if name in known and known[name] != kind]
    if wrong:
        raise ValueError(
            f"search attributes exist with another type in namespace {namespace}: {', '.join(wrong)}; use another namespace"
        )
    missing = {name: kind for name, kind in REGISTRY.items() if name not in known}
    if missing:
        await operator.add_search_attributes(AddSearchAttributesRequest(namespace=namespace, search_attributes=missing))
    return made + sorted(missing)


async def _make_namespace(client: Client, namespace: str) -> list[str]:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        raise
    return [f"namespace {namespace}"]


def type_name(kind: IndexedValueType.ValueType) -> str:
    """Returns the name of a type: `KeywordList` for `INDEXED_VALUE_TYPE_KEYWORD_LIST`."""
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)
