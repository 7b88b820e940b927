"""Commands that check custody timelines and sealed ledgers, and export the timelines for a check elsewhere."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from app.cli.options import DataDir
from app.settings import Settings


class Ledgers(StrEnum):
    """Names of the sealed ledgers, for the command line."""

    audit = "audit"
    submissions = "submissions"
    inbox = "inbox"
    alerts = "alerts"
    contents = "contents"
    alerts_acknowledged = "alerts acknowledged"
    alerts_resolved = "alerts resolved"
    removals = "removals"


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
