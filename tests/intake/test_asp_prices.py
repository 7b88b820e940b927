"""Importing the price file: both published formats, and nothing written when it is bad."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import Workbook

from domain.rulebook import Rulebook, load
from domain.rulebook.asp import AspFileError
from intake.asp_prices import import_asp

ROWS = [
    ["Payment Allowance Limits for Medicare Part B Drugs", "", "", ""],
    ["Effective July 1, 2026 through September 30, 2026", "", "", ""],
    ["Note:\u00a0words", "", "", ""],
    ["HCPCS Code", "Short Description", "HCPCS Code Dosage", "Payment Limit"],
    ["J3262", "words", "1 MG", "5.9"],
    ["Q2053", "words", "per dose", "491000.12"],
]


def as_csv(rows: list[list[str]]) -> str:
    return "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)


def as_xlsx(path: Path, rows: list[list[str]]) -> None:
    book = Workbook()
    assert book.active is not None
    book.active["A1"] = "a cover sheet"
    sheet = book.create_sheet("prices")
    for row in rows:
        sheet.append([float(cell) if cell.replace(".", "").isdigit() else cell for cell in row])
    book.save(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_csv_in_either_encoding(tmp_path: Path, rules: Rulebook, encoding: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes(as_csv(ROWS).encode(encoding))
    target, rows = import_asp(file, rules, tmp_path / "out")
    assert target.name == "payments_asp_2026q3.toml"
    assert next(row.amount for row in rows if row.code == "Q2053") == Decimal("491000.12")


def test_csv_and_xlsx_give_the_same_rows(tmp_path: Path, rules: Rulebook) -> None:
    csv_file, xlsx_file = tmp_path / "prices.csv", tmp_path / "prices.xlsx"
    csv_file.write_text(as_csv(ROWS))
    as_xlsx(xlsx_file, ROWS)
    _, from_csv = import_asp(csv_file, rules, tmp_path / "a")
    _, from_xlsx = import_asp(xlsx_file, rules, tmp_path / "b")
    assert from_csv == from_xlsx


def test_the_file_written_is_a_table_of_the_rulebook(
    tmp_path: Path, rules: Rulebook, rulebook_files: dict[str, str]
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(as_csv(ROWS))
    target, rows = import_asp(file, rules, tmp_path / "out", quarter="2026q3")
    book = load({**rulebook_files, target.name: target.read_text()})
    assert all(book.by_id(row.id) == row for row in rows)


@pytest.mark.parametrize(
    ("name", "body", "problem"),
    [
        ("prices.pdf", b"%PDF", "expected a .csv or .xlsx"),
        ("prices.xlsx", b"not a workbook", "cannot be read as xlsx"),
        ("prices.csv", b"HCPCS Code,Payment Limit\nQ2053,1\n", "do not state the effective dates"),
        ("prices.csv", as_csv([*ROWS, ROWS[-1]]).encode(), "listed twice"),
        ("prices.csv", as_csv([*ROWS[:-1], ["Q2053", "words", "", "9.99"]]).encode(), "moved from"),
        ("missing.csv", None, "cannot be read as csv"),
    ],
)
def test_a_bad_file_leaves_everything_as_it_was(
    tmp_path: Path, rules: Rulebook, name: str, body: bytes | None, problem: str
) -> None:
    if body is not None:
        (tmp_path / name).write_bytes(body)
    out = tmp_path / "out"
    with pytest.raises(AspFileError, match=problem):
        import_asp(tmp_path / name, rules, out)
    assert not out.exists()


def test_the_file_must_be_of_the_requested_quarter(tmp_path: Path, rules: Rulebook) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(as_csv(ROWS))
    with pytest.raises(AspFileError, match="holds the prices of 2026Q3"):
        import_asp(file, rules, tmp_path / "out", quarter="2026Q4")
    assert not (tmp_path / "out").exists()
