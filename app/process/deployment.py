"""`cart-encounter deploy`: setup steps before workers and gateways start. Every step can be repeated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Optional

import typer
from temporalio.client import Client

from app.process.codec import codec_path
from app.process.connect import temporal_access
from app.process.installation import install
from app.process.payload_encryption import data_converter
from app.process.temporal_setup import NotOffered, commands, register, type_name
from app.settings import COMMAND, CannotStart, Settings
from store.encounters import deliver_last_event_again
from store.engine import Database
from store.keys import read_keyring
from workflows.search_attributes import MEANING, REGISTRY

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
def temporal(
    show: Annotated[bool, typer.Option("--print", help="print the commands; connect to no server")] = False,
) -> None:
    """Create the namespace and its search attributes; print the commands where the server does not offer that (exit code 3)."""
    settings = Settings()
    if show:
        typer.echo("\n".join(commands(settings.temporal_namespace)))
        return
    raise typer.Exit(asyncio.run(_temporal(settings)))


@deploy_app.command()
def replay(
    directory: Annotated[
        Optional[Path], typer.Option("--from", help="replay the exported histories of a directory instead")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="closed runs of so many days")] = 7,
    limit: Annotated[int, typer.Option(min=1, help="at most so many open and so many closed runs")] = 1000,
    query: Annotated[str, typer.Option(help="a list filter of the server, added to the others")] = "",
    data_dir: DataDir = Path("data"),
) -> None:
    """Replay open and recently closed workflows on this code; exit code 1 names each one that this code cannot carry on."""
    settings = Settings().model_copy(update={"data_dir": data_dir})
    raise typer.Exit(asyncio.run(_replay(settings, directory, days, limit, query)))


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


async def _replay(settings: Settings, directory: Path | None, days: int, limit: int, query: str) -> int:
    from app.process.replay import of_directory, of_server, replay

    converter = data_converter(read_keyring(settings.key_file))
    try:
        if directory is None:
            access = temporal_access(settings)
            client = await Client.connect(settings.temporal_address, data_converter=converter, **access)
            sources = of_server(client, query, days, limit)
        else:
            sources = of_directory(directory)
        report = await replay(
            sources,
            converter,
            lambda one: typer.echo(f"{one.workflow_id}  {one.workflow_type}  {one.failure}"),
        )
    finally:
        await asyncio.sleep(0.05)
    typer.echo(f"{report.replayed} histories replayed, {len(report.refused)} failed", err=bool(report.refused))
    if not report.replayed:
        typer.echo("no history was found: check CART_TEMPORAL_NAMESPACE and the query", err=True)
    return 1 if report.refused else 0


async def _temporal(settings: Settings) -> int:
    try:
        client = await Client.connect(settings.temporal_address, **temporal_access(settings))
        made = await register(client, settings.temporal_namespace)
        typer.echo(f"namespace {settings.temporal_namespace}: {', '.join(made) if made else 'no changes needed'}")
        return 0
    except NotOffered as refused:
        typer.echo(f"cart-encounter: {refused}; run the commands that fit, then `deploy temporal` again:", err=True)
        typer.echo("\n".join(refused.commands))
        return 3
    finally:
        # The SDK's core may crash the interpreter when it exits at once.
        await asyncio.sleep(0.05)
