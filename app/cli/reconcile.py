"""`cart-encounter reconcile`: what outbox and database contradict each other in, and how it is settled."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from app.process.connect import open_vault
from app.settings import Settings
from store import reconcile, sending
from store.installation import NumbersExhausted
from store.recovered import OTHER, SAME
from store.tables import OutboxFinding, RecoveredClaim

reconcile_app = typer.Typer(
    invoke_without_command=True, help="Contradictions between outbox and database: list them, settle them."
)

DataDir = Annotated[Optional[Path], typer.Option("--data-dir", help="data directory (default: from the environment)")]
By = Annotated[str, typer.Option(help="role that decides it, for the audit log")]

TO_DO: Mapping[str, str] = {
    sending.FILE_DIFFERS: "compare the file with its copy at the clearinghouse, put the right one back, or settle with --note",
    sending.UNKNOWN_FILE: "settle: the file is read and its claims are kept",
    sending.UNKNOWN_NUMBER: "settle: the claim is kept; add --from DIR with copies of the files, if you have them",
    sending.NUMBER_BEYOND: "settle: a new epoch of numbers begins",
    sending.NOT_RECORDED: "ask the clearinghouse for the file; then settle",
    sending.INDEX_MISSING: "mount the right outbox: this is then over by itself. If the index is lost, settle",
    sending.INDEX_DAMAGED: "find out who changed it; then settle: lines that hold are kept, the damaged file is kept",
}


@reconcile_app.callback()
def list_findings(context: typer.Context, data_dir: DataDir = None) -> None:
    """List the contradictions and the claims that were sent and have no encounter; 1 while sending is held."""
    if context.invoked_subcommand is not None:
        context.obj = _settings(data_dir)
        return
    settings = _settings(data_dir)
    db, keys = open_vault(settings)
    try:
        findings, waiting = reconcile.look(db, keys, settings.outbox, datetime.now(UTC))
    finally:
        db.close()
    for line in lines_of(findings, waiting):
        print(line)
    sys.exit(1 if findings else 0)


def lines_of(findings: Sequence[OutboxFinding], waiting: Sequence[RecoveredClaim]) -> list[str]:
    """Returns what holds sending with what to do, and the claims that wait for their events."""
    lines = [f"sending is held by {len(findings)} findings" if findings else "nothing holds sending"]
    for one in findings:
        where = one.path or one.control_number or ""
        lines += [f"- {one.kind} {where}: {sending.MEANING.get(one.kind, '')}", f"  {TO_DO.get(one.kind, '')}"]
    if waiting:
        lines.append(
            f"{len(waiting)} claims are at a payer and their encounter did not come again; repeat the events, or close them"
        )
    for row in waiting:
        period = f"{row.statement_from} to {row.statement_through}" if row.statement_from else "period unknown"
        lines.append(
            f"- {row.control_number} {row.mode} {row.receiver_id} interchange {row.interchange}, form {row.form or 'unknown'}, "
            f"frequency {row.frequency or 'unknown'}, total {row.total if row.total is not None else 'unknown'}, {period}"
        )
    return lines


@reconcile_app.command()
def settle(
    context: typer.Context,
    by: By,
    copies: Annotated[
        Optional[list[Path]], typer.Option("--from", help="directory with copies of claim files; may be repeated")
    ] = None,
    note: Annotated[str, typer.Option(help="why a file with other content is in order")] = "",
) -> None:
    """Keep every claim that was sent, begin new numbers, and let claims go out again."""
    settings = _of(context)
    for directory in copies or ():
        if not directory.is_dir():
            sys.exit(f"cart-encounter: {directory} is no directory")
    db, keys = open_vault(settings)
    try:
        out = reconcile.settle(db, keys, settings.outbox, by, datetime.now(UTC), copies=copies or (), note=note)
    except NumbersExhausted as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    for line in outcome_lines(out):
        print(line)
    sys.exit(1 if out.left else 0)


def outcome_lines(out: reconcile.Outcome) -> list[str]:
    """Returns what settling did and what is left."""
    lines = [f"settled {out.settled} findings; kept {len(out.recovered)} claims that the database did not know"]
    if out.without_copy:
        lines.append(f"{len(out.without_copy)} of them without a copy of the file: known from the index alone")
    if out.never_sent:
        lines.append(f"{len(out.never_sent)} files never left the outbox: their claims go out under new numbers")
    if out.epoch is not None:
        lines.append(f"epoch {out.epoch}: numbers go on from CE{out.epoch * 10**8 + 1:010d}")
    lines += [f"left: {one.kind} {one.path}: {TO_DO.get(one.kind, '')}" for one in out.left]
    return lines


@reconcile_app.command()
def same(context: typer.Context, number: str, claim: str, by: By) -> None:
    """The claim (ENCOUNTER/LETTER/ORDINAL) is the one sent under NUMBER: it takes the number; a change goes out as 7."""
    _decide(context, number, claim, SAME, by)


@reconcile_app.command()
def other(context: typer.Context, number: str, claim: str, by: By) -> None:
    """The claim (ENCOUNTER/LETTER/ORDINAL) is not the one sent under NUMBER: it is sent."""
    _decide(context, number, claim, OTHER, by)


def _decide(context: typer.Context, number: str, claim: str, decision: str, by: str) -> None:
    db, _ = open_vault(_of(context))
    try:
        reconcile.decide(db, number, claim, decision, by, datetime.now(UTC))
    except reconcile.NotSettled as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    print(f"{number}: recorded; the claim is looked at again within 30 minutes")


@reconcile_app.command()
def close(
    context: typer.Context, number: str, by: By, reason: Annotated[str, typer.Option(help="kept on record")]
) -> None:
    """Close a claim at a payer for which no encounter will come again."""
    db, _ = open_vault(_of(context))
    try:
        reconcile.close(db, number, reason, by, datetime.now(UTC))
    except reconcile.NotSettled as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    print(f"{number}: closed")


def _settings(data_dir: Path | None) -> Settings:
    settings = Settings()
    return settings.model_copy(update={"data_dir": data_dir}) if data_dir else settings


def _of(context: typer.Context) -> Settings:
    settings = context.obj
    assert isinstance(settings, Settings)
    return settings
