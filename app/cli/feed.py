"""`cart-encounter feed FILE` plays a scenario's feed; `cart-encounter feed check FILE...` tries sample messages of partners."""

from __future__ import annotations

import sys
import time
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from typer.core import TyperGroup

from app.cli.encounter_text import receipt_lines
from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import api_from

PROGRESS_SECONDS = 2.0


class FileOrCommand(TyperGroup):
    """Plays a file where no command is named. A file of a command's name is written with its directory (`./check`)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["play", *args]
        return super().parse_args(ctx, args)


feed_app = typer.Typer(cls=FileOrCommand, no_args_is_help=True, help="Play a feed, or check sample messages.")


@feed_app.command(
    help="Send a scenario feed (events with day offsets), with day 0 on a given date. `feed FILE` does the same."
)
def play(
    file: Path,
    anchor: Annotated[Optional[str], typer.Option(help="date of day 0, YYYY-MM-DD (default: today)")] = None,
    subject: Annotated[Optional[str], typer.Option(help="order number (default: that of the feed)")] = None,
    run: Annotated[
        str, typer.Option(help="suffix for every ID and number of the feed, to make another patient of it")
    ] = "",
    data_dir: DataDir = Path("data"),
    as_json: Json = None,
    url: Url = None,
) -> None:
    """Send a scenario feed."""
    from intake.scenario_feeds import expand, load_feed

    try:
        day = date.fromisoformat(anchor) if anchor else datetime.now().astimezone().date()
        events = expand(load_feed(file), day, subject, f"-{run}" if run else "")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    print_answer(api_from(data_dir, url).post("/v1/events", events), receipt_lines, as_json)


@feed_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="files of messages, or directories of them")],
    mapping: Annotated[
        Optional[Path], typer.Option(help="mapping file; that of CART_MAPPING_FILE, else the packaged one")
    ] = None,
    site: Annotated[Optional[Path], typer.Option(help="site file; that of CART_SITE_FILE if absent")] = None,
    quiet: Annotated[bool, typer.Option(help="list only what would be refused or need work, and the sums")] = False,
) -> None:
    """Check sample messages: the result of each and its departures from the standard. Nothing is stored.

    Exits 1 when a message would be refused or need a person's work, 2 when a file cannot be read or holds no message.
    """
    from app.process.serving import GatewaySettings
    from domain.site import SiteError, parse_site
    from intake.feed_check import FORMATS, files_of, format_of
    from intake.site_mapping import MappingError, parse_mapping, unknown_facilities

    settings = GatewaySettings()
    mapping_file, site_file = mapping or settings.mapping_file, site or settings.site_file
    try:
        parsed = parse_mapping(mapping_file.read_text(encoding="utf-8"))
        known = parse_site(site_file.read_text(encoding="utf-8"))
    except MappingError as error:
        _stop(f"{mapping_file.name}: {error}")
    except SiteError as error:
        _stop(f"{site_file.name}: {'; '.join(error.problems)}")
    except UnicodeDecodeError:
        _stop("mapping and site file are UTF-8 text")
    except OSError as error:
        _stop(f"{error.filename}: {error.strerror}")
    unknown = unknown_facilities(parsed, [facility.key for facility in known.facilities])
    for problem in unknown:
        print(f"{mapping_file.name}: {problem}", file=sys.stderr)
    every, progress = files_of(files), _Progress()
    named = {one for one in files if not one.is_dir()}
    outcomes: Counter[str] = Counter()
    departures: Counter[str] = Counter()
    checkers = {one.name: one.checker(parsed, known) for one in FORMATS}
    bad = unread = others = 0
    for position, file in enumerate(every, start=1):
        try:
            kind = format_of(file)
            found = list(checkers[kind.name](file)) if kind else []
        except OSError as error:
            print(f"{file}: {error.strerror}", file=sys.stderr)
            unread += 1
            continue
        if not found and file in named:
            unread += 1
            print(f"{file}: no message of a format that is read here", file=sys.stderr)
        others += not found and file not in named
        for one in found:
            outcomes[one.outcome] += 1
            departures.update(one.departures)
            bad += one.bad
            if one.bad or not quiet:
                print(_line(file, one))
        progress.show(position, len(every), sum(outcomes.values()))
    print(_sums(outcomes, departures))
    if others:
        print(f"{others} other files of the directories hold no message of a format that is read here")
    sys.exit(2 if unread or not outcomes else 1 if bad or unknown else 0)


def _line(file: Path, one: Any) -> str:
    departs = f"  departs: {', '.join(one.departures)}" if one.departures else ""
    return f"{file}:{one.number}  {one.what:10s} {one.outcome:28s} {one.detail}".rstrip() + departs


def _sums(outcomes: Counter[str], departures: Counter[str]) -> str:
    rows = [f"{sum(outcomes.values())} messages"]
    rows += [f"  {count:6d}  {outcome}" for outcome, count in outcomes.most_common()]
    if departures:
        rows += ["departures (docs/feeds.md)", *(f"  {count:6d}  {kind}" for kind, count in departures.most_common())]
    return "\n".join(rows)


class _Progress:
    """A line on standard error every few seconds of a long run."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_SECONDS

    def show(self, files: int, of: int, messages: int) -> None:
        if time.monotonic() >= self._next:
            print(f"{files} of {of} files, {messages} messages", file=sys.stderr, flush=True)
            self._next = time.monotonic() + PROGRESS_SECONDS


def _stop(reason: str) -> NoReturn:
    print(f"cart-encounter: {reason}", file=sys.stderr)
    sys.exit(2)
