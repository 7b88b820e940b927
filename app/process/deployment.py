"""`cart-encounter deploy`: what an installation does once, before workers and gateways start. Every step may be repeated."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from sqlmodel import Session, col, func, or_, select
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.process.codec import codec_path
from app.process.connect import temporal_access
from app.process.installation import install
from app.settings import CannotStart, Settings
from domain.billing.submission.model import OUT_OF_USE, State
from store.claims import followed
from store.engine import Database
from store.keys import read_keyring
from store.tables import Encounter, EncounterEvent
from workflows.search_attributes import MEANING, REGISTRY

RETENTION = timedelta(days=90)
"""How long the server keeps the history of a closed workflow; the facts themselves are in the database."""

deploy_app = typer.Typer(no_args_is_help=True, help="Prepare an installation: keys, database, Temporal.")

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="CART_DATA_DIR", help="where key file and token are made")]


@deploy_app.command()
def keys(data_dir: DataDir = Path("data")) -> None:
    """Make key file and token where they are not; check them where they are."""
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings().model_copy(update={"data_dir": data_dir})
    try:
        install(settings)
    except CannotStart as error:
        typer.echo(f"cart-encounter: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(
        f"{settings.key_file} and {settings.token_file} are in place; keep a copy of both apart from the database"
    )


@deploy_app.command()
def migrate() -> None:
    """Bring the database's schema to the newest revision."""
    db = Database(Settings().database)
    try:
        db.migrate()
    finally:
        db.close()
    typer.echo("the schema is current")


@deploy_app.command()
def temporal() -> None:
    """Make the namespace and its search attributes on the Temporal server."""
    asyncio.run(_temporal(Settings()))


@deploy_app.command()
def redeliver() -> None:
    """After a restore of the Temporal server: wake every encounter that is open or has a claim under way."""
    db = Database(Settings().database)
    try:
        count = wake_encounters(db)
    finally:
        db.close()
    typer.echo(f"{count} encounters, open or with a claim under way, will be woken by a gateway")


def wake_encounters(db: Database) -> int:
    """Mark the last event of every encounter that has something under way as undelivered; returns how many.

    Claims outlive their encounter: one that closed with a bill on hold or at the payer starts the claim's clock anew, and
    closes again.

    The last one alone: a note carries the encounter's facts up to its sequence, and a decision on fewer of them than were
    decided on before would take back what followed from the others.
    """
    with db.write() as session:
        last = session.exec(
            select(EncounterEvent.encounter_id, func.max(EncounterEvent.sequence))
            .join(Encounter, col(Encounter.encounter_id) == col(EncounterEvent.encounter_id))
            .where(or_(Encounter.status == "open", col(Encounter.encounter_id).in_(_with_claims_under_way(session))))
            .group_by(EncounterEvent.encounter_id)
        ).all()
        for encounter, sequence in last:
            session.get_one(EncounterEvent, (encounter, sequence)).delivered_at = None
    return len(last)


def _with_claims_under_way(session: Session) -> set[str]:
    """Encounters with a claim that is not out of the world: a paid one is, unless something is waited for."""
    under_way = frozenset(State) - OUT_OF_USE - {State.SUPERSEDED}
    found = followed(session, under_way)
    return {one.encounter_id for one in found if one.state != State.PAID or one.status.next_due}


@deploy_app.command()
def codec(data_dir: DataDir = Path("data")) -> None:
    """Print the codec server's secret path, for the settings of a Temporal UI that has no login. Treat it as a password."""
    typer.echo(codec_path(read_keyring(Settings().model_copy(update={"data_dir": data_dir}).key_file)))


@deploy_app.command("search-attributes")
def search_attributes() -> None:
    """List the search attributes with type and meaning."""
    for name, kind in REGISTRY.items():
        typer.echo(f"{name:20} {type_name(kind):12} {MEANING[name]}")


async def _temporal(settings: Settings) -> None:
    try:
        client = await Client.connect(settings.temporal_address, **temporal_access(settings))
        made = await register(client, settings.temporal_namespace)
        typer.echo(f"namespace {settings.temporal_namespace}: {', '.join(made) if made else 'nothing to do'}")
    finally:
        # The SDK's core may crash the interpreter when it exits at once.
        await asyncio.sleep(0.05)


async def register(client: Client, namespace: str) -> list[str]:
    """Make what is missing: the namespace, then its search attributes. Returns what was made.

    Raises:
        ValueError: an attribute of that name has another type; nothing is changed then.
    """
    made = await _make_namespace(client, namespace)
    operator = client.operator_service
    known = (await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))).custom_attributes
    wrong = [name for name, kind in REGISTRY.items() if name in known and known[name] != kind]
    if wrong:
        raise ValueError(f"search attributes of another type stand in namespace {namespace}: {', '.join(wrong)}")
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
    """`INDEXED_VALUE_TYPE_KEYWORD_LIST` is `KeywordList` to people."""
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)
