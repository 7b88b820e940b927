"""Medicare's quarterly payment limits: checks of the published table, and its `payments` rows.

Pure: the cells come in as text (`intake.asp_prices` reads the file), rows and problems go out. Nothing is written while there
is a problem, so the old prices stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from domain.rulebook.book import Rulebook
from domain.rulebook.rows import DrugCode, Payment, Product

Cells = Sequence[str]

ADD_ON = Decimal("1.06")
"""The payment limit is the average sales price and 6 % (42 CFR 414.904; G391)."""

NO_PRICE_BASIS = "no ASP this quarter: invoice + 6 % or WAC"
"""What is paid when the quarter's file has no limit for the code (G400)."""

MAX_SHARE = Decimal("0.20")
"""A price that moves by more than this share from the quarter before is held for review."""

_COLUMNS = {"code": "hcpcs code", "limit": "payment limit"}
_EFFECTIVE = re.compile(r"effective\s+(\w+ \d{1,2}, \d{4})\s+(?:through|to|-)\s+(\w+ \d{1,2}, \d{4})", re.IGNORECASE)
_CODE = re.compile(r"^[A-Z0-9]{5}$")
_CENT = Decimal("0.01")


class AspFileError(ValueError):
    """The file cannot be used; `problems` names each with its line. No price was changed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The published table: its quarter and every code with its limit in dollars (None where the cell is empty)."""

    quarter: str
    first_day: date
    last_day: date
    limits: Mapping[str, Decimal | None]


def read_table(rows: Sequence[Cells]) -> PriceTable:
    """Read the published layout: preamble with the effective dates, a header row, then one row per code.

    Raises:
        AspFileError: no header, no effective dates, dates that are not one quarter, a code twice, a limit that is no amount.
    """
    header = next((n for n, row in enumerate(rows) if _places(row) is not None), None)
    if header is None:
        raise AspFileError(["no header row with the columns HCPCS Code and Payment Limit"])
    first, last = _effective(rows[:header])
    places = _places(rows[header])
    assert places is not None
    return PriceTable(quarter_of(first, last), first, last, _limits(rows, header + 1, places))


def has_header(rows: Sequence[Cells]) -> bool:
    """Whether a sheet holds the header row of the published table."""
    return any(_places(row) is not None for row in rows)


def quarter_of(first: date, last: date) -> str:
    """The calendar quarter two days enclose, as `2026Q2`.

    Raises:
        AspFileError: they do not enclose exactly one quarter.
    """
    number = (first.month - 1) // 3
    begins = date(first.year, number * 3 + 1, 1)
    ends = date(first.year + (number == 3), (number * 3 + 3) % 12 + 1, 1) - timedelta(days=1)
    if (first, last) != (begins, ends):
        raise AspFileError([f"effective {first} through {last} is not one calendar quarter"])
    return f"{first.year}Q{number + 1}"


def wanted_codes(book: Rulebook, on: date) -> tuple[str, ...]:
    """The HCPCS codes whose price the rulebook follows: enabled products, billed drugs and every code priced before."""
    products = {row.hcpcs for row in book.table(Product) if row.enabled and row.holds_on(on)}
    drugs = {row.hcpcs for row in book.table(DrugCode) if row.holds_on(on)}
    priced = {row.code for row in book.table(Payment) if row.kind == "asp"}
    return tuple(sorted(products | drugs | priced))


def price_rows(table: PriceTable, book: Rulebook, max_share: Decimal = MAX_SHARE) -> tuple[Payment, ...]:
    """The `payments` rows of the quarter for the codes the rulebook follows and does not have yet.

    A code without a limit is legal (G400): its row has no amount and names what is paid instead.

    Raises:
        AspFileError: another price of the quarter is on record, or a price moved by more than `max_share` (a share, not
            percent) from the one before.
    """
    problems: list[str] = []
    rows: list[Payment] = []
    for code in wanted_codes(book, table.first_day):
        limit = table.limits.get(code)
        problems += _moved(_last_price(book, code, table.first_day), limit, code, max_share)
        known = _on_record(book, code, table)
        if known is None:
            rows.append(_row(table, code, limit))
        elif known.amount != limit:
            problems.append(
                f"{code}: another price of {table.quarter} is on record as {known.id}; withdraw that row first"
            )
    if problems:
        raise AspFileError(problems)
    return tuple(rows)


def overlay(rows: Sequence[Payment]) -> str:
    """The rows as TOML, for a file beside the other tables."""
    return "\n".join(_entry(row) for row in rows)


def _places(row: Cells) -> dict[str, int] | None:
    names = [" ".join(cell.split()).casefold() for cell in row]
    if not all(name in names for name in _COLUMNS.values()):
        return None
    return {key: names.index(name) for key, name in _COLUMNS.items()}


def _effective(preamble: Sequence[Cells]) -> tuple[date, date]:
    found = _EFFECTIVE.search(" ".join(" ".join(cell.split()) for row in preamble for cell in row))
    if found is None:
        raise AspFileError(["the lines above the header do not state the effective dates of the prices"])
    try:
        first, last = (datetime.strptime(day, "%B %d, %Y").date() for day in found.groups())  # noqa: DTZ007
    except ValueError:
        raise AspFileError(["the effective dates above the header are not dates"]) from None
    return first, last


def _limits(rows: Sequence[Cells], start: int, places: Mapping[str, int]) -> dict[str, Decimal | None]:
    limits: dict[str, Decimal | None] = {}
    problems: list[str] = []
    for number, row in enumerate(rows[start:], start + 1):
        code = _cell(row, places["code"]).upper()
        if not _CODE.match(code):
            problems += [f"line {number}: not a HCPCS code"] if _cell(row, places["limit"]) else []
            continue
        if code in limits:
            problems.append(f"line {number}: {code} is listed twice")
        try:
            limits[code] = _amount(_cell(row, places["limit"]))
        except InvalidOperation:
            problems.append(f"line {number}: the payment limit of {code} is not an amount above zero")
    if not limits:
        problems.append("no row with a HCPCS code below the header")
    if problems:
        raise AspFileError(problems)
    return limits


def _cell(row: Cells, place: int) -> str:
    return row[place].strip() if place < len(row) else ""


def _amount(text: str) -> Decimal | None:
    plain = text.replace("$", "").replace(",", "").strip()
    if not plain:
        return None
    value = Decimal(plain)
    if not value.is_finite() or value <= 0:
        raise InvalidOperation
    return value


def _on_record(book: Rulebook, code: str, table: PriceTable) -> Payment | None:
    for row in _prices(book, code):
        if row.effective_from <= table.last_day and (row.effective_to is None or row.effective_to >= table.first_day):
            return row
    return None


def _last_price(book: Rulebook, code: str, before: date) -> Decimal | None:
    earlier = [row for row in _prices(book, code) if row.effective_from < before and row.amount is not None]
    return max(earlier, key=lambda row: row.effective_from).amount if earlier else None


def _moved(old: Decimal | None, new: Decimal | None, code: str, max_share: Decimal) -> list[str]:
    if old is None or new is None or abs(new - old) <= old * max_share:
        return []
    return [f"{code}: the limit moved from {old} to {new}, more than {max_share:%}; confirm it with a larger share"]


def _prices(book: Rulebook, code: str) -> list[Payment]:
    return [row for row in book.table(Payment) if row.kind == "asp" and row.code == code]


def _row(table: PriceTable, code: str, limit: Decimal | None) -> Payment:
    return Payment(
        id=f"payments.asp.{code}.{table.quarter}",
        effective_from=table.first_day,
        effective_to=table.last_day,
        source=(f"CMS Part B payment limit file {table.quarter}", "G391-393" if limit is not None else "G400"),
        status="verified",
        refresh="quarterly",
        reviewed=table.first_day,
        kind="asp",
        code=code,
        title="Medicare payment limit of one billing unit",
        amount=limit,
        average_sales_price=None if limit is None else (limit / ADD_ON).quantize(_CENT, ROUND_HALF_UP),
        quarter=table.quarter,
        basis="ASP + 6 %" if limit is not None else NO_PRICE_BASIS,
    )


def _entry(row: Payment) -> str:
    values = row.model_dump(exclude_none=True, exclude_defaults=True)
    return "\n".join(["[[payments]]", *(f"{name} = {_toml(value)}" for name, value in values.items()), ""])


def _toml(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
