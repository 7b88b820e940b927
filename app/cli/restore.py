"""`cart-encounter restore`: a backup takes the place of the database, and nothing is sent twice afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from app.cli.reconcile import outcome_lines
from app.cli.verify import verify_store
from app.process.deployment import wake_encounters
from app.process.installation import RESTORING, known_epoch, locked, note_epoch
from app.settings import COMMAND, CannotStart, Settings
from store import backup, reconcile
from store.engine import Database, place_of
from store.installation import ForeignKeys, NumbersExhausted, check_keys
from store.keys import KeyFileError, Keyring, read_keyring
from store.recovered import unmatched

NEW = ".encounters.restoring.db"
TEMPORAL = "temporal.db"


@dataclass(frozen=True)
class Request:
    """What is restored: a SQLite file, a dump of PostgreSQL, or the database as its administrators restored it."""

    settings: Settings
    by: str
    database: Path | None = None
    dump: Path | None = None
    copies: tuple[Path, ...] = ()
    say: Callable[[str], None] = print


def restore(
    by: Annotated[str, typer.Option(help="role that decides it, for the audit log")],
    database: Annotated[Optional[Path], typer.Option(help="backup of the embedded database")] = None,
    dump: Annotated[Optional[Path], typer.Option(help="dump of PostgreSQL, as `backup` writes it")] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="the database is restored already: point-in-time recovery, promoted replica"),
    ] = False,
    copies: Annotated[
        Optional[list[Path]], typer.Option("--from", help="directory with copies of claim files; may be repeated")
    ] = None,
    data_dir: Annotated[Optional[Path], typer.Option("--data-dir", help="data directory of the installation")] = None,
) -> None:
    """Restore the database while the stack is stopped. What is replaced is kept. Interrupted, run it again."""
    if sum((database is not None, dump is not None, in_place)) != 1:
        sys.exit("cart-encounter: give one of --database FILE, --dump FILE, --in-place")
    base = Settings()
    settings = base.model_copy(update={"data_dir": data_dir}) if data_dir else base
    request = Request(settings, by, database, dump, tuple(copies or ()))
    try:
        with locked(settings.data_dir):
            code = carry_out(request)
    except (CannotStart, backup.CannotRestore, NumbersExhausted, ForeignKeys) as error:
        sys.exit(f"cart-encounter: {error}")
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {settings.key_file}: {error}")
    sys.exit(code)


def carry_out(request: Request) -> int:
    """Restores step by step; each step can be repeated. Returns 0, or 1 if a chain is broken.

    Raises:
        CannotRestore, ForeignKeys, KeyFileError, CannotStart, NumbersExhausted: nothing was replaced, or it can be run again.
    """
    settings, say = request.settings, request.say
    keys = read_keyring(settings.key_file)
    _check_request(request)
    journal = settings.data_dir / RESTORING
    begun = json.loads(journal.read_text()) if journal.exists() else {}
    stamp = begun.get("stamp") or f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    replaced = settings.data_dir / f"replaced-{stamp}"
    if not begun.get("placed"):
        _place(request, keys, stamp, replaced, journal)
    _write(journal, {"stamp": stamp, "placed": True})
    if moved := backup.move_away(settings.data_dir / TEMPORAL, replaced):
        say(f"the Temporal server begins with an empty database; the old one is {moved[0]}")
    code = _numbers_and_deliveries(request, keys, replaced)
    journal.unlink(missing_ok=True)
    say("start the stack. Then have senders repeat what they sent since the backup; known events are duplicates")
    return code


def _check_request(request: Request) -> None:
    embedded = backup.sqlite_file(request.settings.database) is not None
    if request.database is not None and not embedded:
        raise backup.CannotRestore("CART_DATABASE_URL names a PostgreSQL database: use --dump or --in-place")
    if request.dump is not None and embedded:
        raise backup.CannotRestore("a dump is of PostgreSQL: set CART_DATABASE_URL")
    for path in (*filter(None, (request.database, request.dump)), *request.copies):
        if not path.exists():
            raise backup.CannotRestore(f"{path}: there is no such file or directory")


def _place(request: Request, keys: Keyring, stamp: str, replaced: Path, journal: Path) -> None:
    settings, say = request.settings, request.say
    if request.database is not None:
        file, new = backup.sqlite_file(settings.database), settings.data_dir / NEW
        assert file is not None
        backup.copy_sqlite(request.database, new)
        _checked(Database(f"sqlite:///{new}"), keys, settings)
        _write(journal, {"stamp": stamp})
        if moved := backup.move_away(file, replaced):
            say(f"the database before is kept: {moved[0]}")
        for part in backup.SQLITE_PARTS[1:]:
            new.with_name(new.name + part).unlink(missing_ok=True)
        new.replace(file)
        say(f"{request.database} is the database now")
        return
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        if others := backup.others_connected(db):
            raise backup.CannotRestore(
                f"{others} other sessions use {place_of(settings.database)}: stop every gateway, worker and tool first"
            )
        if request.dump is not None:
            name = f"replaced_{stamp.lower()}"
            _write(journal, {"stamp": stamp})
            if backup.move_tables_away(db, name):
                say(f"the tables before are kept in the schema {name}")
            backup.load_postgres(db, request.dump)
            say(f"{request.dump} is the database now")
    finally:
        db.close()
    _checked(Database(settings.database, limits=settings.limits(COMMAND)), keys, settings)


def _checked(db: Database, keys: Keyring, settings: Settings) -> None:
    try:
        backup.check_backup(db, keys)
    except ForeignKeys as error:
        raise ForeignKeys(f"{settings.key_file}: {error}") from None
    finally:
        db.close()


def _numbers_and_deliveries(request: Request, keys: Keyring, replaced: Path) -> int:
    """Begins a new epoch, keeps what was sent, and marks the last event of every open encounter for delivery."""
    settings, say, now = request.settings, request.say, datetime.now(UTC)
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        db.migrate()
        check_keys(db, keys, now)
        above = max(known_epoch(settings), backup.epoch_in(replaced / "encounters.db"))
        out = reconcile.settle(
            db, keys, settings.outbox, request.by, now, copies=request.copies, new_epoch=True, above=above
        )
        note_epoch(settings, out.epoch or 0)
        for line in outcome_lines(out):
            say(line)
        say(f"{wake_encounters(db)} encounters with open work are delivered again")
        with db.read() as session:
            newest, waiting = backup.newest_event(session), unmatched(session)
        if waiting:
            say(
                f"{len(waiting)} claims were sent after the backup: their events must come again (`cart-encounter reconcile`)"
            )
        say(
            f"the newest event of the backup came in at {newest:%Y-%m-%d %H:%M} UTC"
            if newest
            else "the backup has no event"
        )
    finally:
        db.close()
    return verify_store(settings, None)


def _write(path: Path, content: dict[str, object]) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)
