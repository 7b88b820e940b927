"""`cart-encounter rules`: show the rulebook, compare its editions, find rows due for review, import prices."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NoReturn, Optional, cast, get_args

import typer

from app.cli.rules_text import coverage_lines, departure_lines, row_block, row_line, stale_line
from domain.rulebook import Row, Rulebook, RulebookError
from domain.rulebook.asp import MAX_SHARE, AspFileError
from domain.rulebook.coverage import beyond_the_guide, gaps, read_coverage
from domain.rulebook.diff import departures, unexplained
from domain.rulebook.rows import Edition
from domain.rulebook.stale import stale
from intake.asp_prices import import_asp
from store.config import read_rulebook, rulebook_directory

rules_app = typer.Typer(
    no_args_is_help=True, help="Rulebook: list, show, compare editions, rows due for review, coverage, price import."
)

Rules = Annotated[Optional[Path], typer.Option("--rules", help="directory of tables (default: the packaged tables)")]
EditionName = Annotated[str, typer.Option("--edition", help="current or guide")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Day = Annotated[Optional[datetime], typer.Option("--on", formats=["%Y-%m-%d"], help="date (default: today)")]


@rules_app.command("list")
def list_rules(
    table: Annotated[Optional[str], typer.Option("--table", help="one table only")] = None,
    on: Annotated[
        Optional[datetime], typer.Option("--on", formats=["%Y-%m-%d"], help="only rows in effect on this date")
    ] = None,
    edition: EditionName = "current",
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """List rows: ID, effective dates, status, source."""
    book = _book(edition, rules)
    if table is not None and table not in book.rows:
        _stop(f"no table {table}; tables: {', '.join(sorted(book.rows))}")
    rows = [
        row
        for name, each in book.rows.items()
        if table in (None, name)
        for row in each
        if on is None or row.holds_on(on.date())
    ]
    _print_rows(rows, as_json)


@rules_app.command()
def show(
    rule: Annotated[str, typer.Argument(help="row ID, for example payers.medicare")],
    edition: Annotated[Optional[str], typer.Option("--edition", help="current or guide (default: both)")] = None,
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Show one row with its dates, source, status, open questions and values."""
    for name in (edition,) if edition else get_args(Edition):
        try:
            row = _book(name, rules).by_id(rule)
        except KeyError:
            continue
        typer.echo(json.dumps(_plain(row), indent=2) if as_json else row_block(row))
        return
    _stop(f"no row {rule}; `cart-encounter rules list` shows every ID")


@rules_app.command()
def diff(
    old: Annotated[str, typer.Argument(help="edition to compare with")] = "guide",
    new: Annotated[str, typer.Argument(help="edition to compare")] = "current",
    rules: Rules = None,
) -> None:
    """Show every correction with its evidence and status, and the rows of both editions."""
    before, after = _book(old, rules), _book(new, rules)
    if (before.edition, after.edition) != ("guide", "current"):
        _stop("corrections are recorded from guide to current only: `cart-encounter rules diff guide current`")
    for departure in departures(before, after):
        _echo(departure_lines(departure))
    left = unexplained(before, after)
    for row in left:
        typer.echo(f"UNEXPLAINED {row_line(row)}", err=True)
    if left:
        raise typer.Exit(1)


@rules_app.command("stale")
def stale_rules(on: Day = None, edition: EditionName = "current", rules: Rules = None) -> None:
    """List rows past their review date, the longest overdue first."""
    day = _day(on)
    late = stale(_book(edition, rules), day)
    _echo(stale_line(each) for each in late)
    typer.echo(f"{len(late)} rows are past their review date on {day.isoformat()}")


@rules_app.command()
def coverage(
    rules: Rules = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="only the total")] = False,
    beyond: Annotated[bool, typer.Option("--beyond", help="also list rows without a line in the guide")] = False,
) -> None:
    """Show for every line of the guide its rules, or the decision to have none. Exits 1 if a line has neither."""
    try:
        covers = read_coverage(_coverage_file(rules).read_text(encoding="utf-8"))
    except (RulebookError, OSError) as error:
        _stop(str(error))
    books = [_book(name, rules) for name in get_args(Edition)]
    found = gaps(covers, books)
    if beyond:
        _echo(f"beyond the guide: {row_line(row)}" for row in beyond_the_guide(covers, books))
    _echo(coverage_lines(covers, found, quiet))
    if not found.complete:
        raise typer.Exit(1)


@rules_app.command("import-asp")
def import_prices(
    file: Annotated[Path, typer.Argument(help="CMS quarterly ASP payment limit file, CSV or XLSX")],
    out: Annotated[Path, typer.Option("--out", help="directory for the price rows")],
    quarter: Annotated[
        Optional[str], typer.Option("--quarter", help="required quarter of the file, for example 2026Q3")
    ] = None,
    max_share: Annotated[
        float, typer.Option(help="largest allowed change from the previous price, as a share")
    ] = float(MAX_SHARE),
    rules: Rules = None,
) -> None:
    """Check the quarterly file and write its prices as rows of `payments`. A file with an error changes nothing."""
    try:
        target, rows = import_asp(file, _book("current", rules), out, Decimal(str(max_share)), quarter)
    except AspFileError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        _stop("nothing was written; existing prices stay in effect")
    for row in rows:
        typer.echo(f"{row.id}  {row.amount if row.amount is not None else 'no limit'}  {row.basis}")
    typer.echo(f"{len(rows)} prices written to {target}")


def _book(edition: str, rules: Path | None) -> Rulebook:
    if edition not in get_args(Edition):
        _stop(f"no edition {edition}; editions: {' and '.join(get_args(Edition))}")
    try:
        return read_rulebook(cast(Edition, edition), rules)
    except (RulebookError, OSError) as error:
        _stop(str(error))


def _coverage_file(rules: Path | None) -> Path:
    return (rules or rulebook_directory()) / "coverage.toml"


def _print_rows(rows: list[Row], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_plain(row) for row in rows], indent=2))
        return
    _echo(row_line(row) for row in rows)
    typer.echo(f"{len(rows)} rows")


def _plain(row: Row) -> dict[str, object]:
    return {"table": row.table, **row.model_dump(mode="json")}


def _day(on: datetime | None) -> date:
    return on.date() if on else datetime.now().astimezone().date()


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
