"""Files of encounters under way: the same events from three formats, every error by row and field, no value repeated."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook

from domain.events import parse
from intake.spreadsheets import Import, ImportFileError, read_import
from intake.spreadsheets.encounters import PARTS, RECORDS, SOURCE
from tests.kit.files import DOCS

EXAMPLE = DOCS / "cutover.example.csv"
GUIDE = EXAMPLE.with_name("cutover.md")
ZONE = ZoneInfo("America/New_York")
Rows = list[dict[str, Any]]


def rows() -> Rows:
    with EXAMPLE.open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def as_csv(path: Path, body: Rows) -> Path:
    columns = list(dict.fromkeys(name for row in body for name in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(body)
    return path


def read(path: Path, body: Rows) -> Import:
    (found,) = read_import([as_csv(path / "rows.csv", body)], ZONE)
    return found


def changed(record: str, change: Callable[[dict[str, Any]], None]) -> Rows:
    body = rows()
    change(next(row for row in body if row["record"] == record))
    return body


def test_the_example_of_the_guide_becomes_events_of_the_catalog() -> None:
    (found,) = read_import([EXAMPLE], ZONE)
    assert (found.troubles, found.warnings) == ((), ())
    assert [event["type"] for event in found.events[:2]] == ["cart.encounter.imported", "cart.referral.received"]
    for event in found.events:
        envelope, _ = parse(event)
        assert (envelope.source, envelope.subject) == (SOURCE, found.order)
        assert found.order not in event["id"]
    imported, referral = found.events[0]["data"], found.events[1]["data"]
    assert imported["at"] == "2026-06-08T08:00:00-04:00"
    assert [claim["letter"] for claim in imported["billed"]] == ["A"]
    assert imported["not_billed"] == ["B"]
    assert [therapy["line"] for therapy in referral["prior_therapies"]] == [1, 2]


def test_a_workbook_and_json_give_the_same_events(tmp_path: Path) -> None:
    expected = read_import([EXAMPLE], ZONE)[0].events
    (tmp_path / "rows.json").write_text(json.dumps(rows()))
    assert read_import([tmp_path / "rows.json"], ZONE)[0].events == expected
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for row in rows():
        record = row.pop("record")
        sheet = book[record] if record in book.sheetnames else book.create_sheet(record)
        columns = [cell.value for cell in sheet[1]] if sheet.max_row and sheet["A1"].value else []
        columns += [name for name in row if name not in columns]
        for number, name in enumerate(columns, start=1):
            sheet.cell(1, number, name)
        sheet.append([_typed(row.get(name)) for name in columns])
    book.save(tmp_path / "rows.xlsx")
    assert read_import([tmp_path / "rows.xlsx"], ZONE)[0].events == expected


def _typed(value: str | None) -> Any:
    return int(value) if value is not None and value.isdigit() and len(value) < 5 else value


def test_several_files_are_one_and_the_same_file_gives_the_same_ids(tmp_path: Path) -> None:
    body = rows()
    first, second = as_csv(tmp_path / "one.csv", body[:5]), as_csv(tmp_path / "two.csv", body[5:])
    (joined,) = read_import([first, second], ZONE)
    assert joined.events == read_import([EXAMPLE], ZONE)[0].events


def test_a_changed_row_keeps_its_id_so_that_it_shows_as_a_conflict(tmp_path: Path) -> None:
    body = changed("dose", lambda row: row.update(dose_mg="1"))
    before = read_import([EXAMPLE], ZONE)[0].events
    after = read(tmp_path, body).events
    assert [event["id"] for event in after] == [event["id"] for event in before]
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


FAULTS: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    ("dose", lambda row: row.update(dose_mg="55,5 mg"), "dose_mg", "write a number"),
    ("dose", lambda row: row.pop("ndc") and None, "ndc", "required field is missing"),
    ("dose", lambda row: row.update(acquired_340b="perhaps"), "acquired_340b", "yes or no"),
    ("dose", lambda row: row.update(started_at="Friday"), "started_at", "2026-06-10 09:30"),
    ("dose", lambda row: row.update(**{"dose.mg": "1"}), "dose.mg", "unknown column"),
    ("referral", lambda row: row.update(**{"patient.sex": "unsaid"}), "patient.sex", "female"),
    ("billed", lambda row: row.update(total="many"), "billed.0.total", "decimal string"),
    ("evidence", lambda row: row.update(kind="letter"), "kind", "one of"),
    ("collection", lambda row: row.update(record="harvest"), "record", "must be one of"),
    ("release", lambda row: row.update(released_at="2026-06-09 10:00"), "time", "after the cutover"),
    ("therapy", lambda row: row.update(record="cutover"), "record", "another row cutover"),
]


@pytest.mark.parametrize(("record", "change", "field", "words"), FAULTS, ids=lambda value: str(value)[:24])
def test_each_fault_is_named_by_row_and_field_and_stops_its_encounter(
    tmp_path: Path, record: str, change: Callable[[dict[str, Any]], None], field: str, words: str
) -> None:
    body = changed(record, change)
    line = 2 + next(n for n, row in enumerate(rows()) if row["record"] == record)
    found = read(tmp_path, body)
    mine = [one for one in found.troubles if one.field == field and words in one.message]
    assert mine, found.troubles
    where = f"rows.csv line {2 if field.startswith('billed') else line}"
    assert mine[0].where == where
    secret = ("MRN-1001", "SYNTHETIC", "ORDER-1001", "55,5", "perhaps", "Friday")
    assert not [text for one in found.troubles for text in secret if text in one.message + one.where + one.field]


def test_an_order_without_its_cutover_or_referral_is_not_sent(tmp_path: Path) -> None:
    for record in ("cutover", "referral"):
        found = read(tmp_path, [row for row in rows() if row["record"] != record])
        assert any(record in one.message for one in found.troubles)


def test_a_stage_without_its_records_warns(tmp_path: Path) -> None:
    found = read(tmp_path, [row for row in rows() if row["record"] not in ("dose", "release")])
    assert found.troubles == ()
    assert [one.message for one in found.warnings] == [
        "in stage infusion without any row release",
        "in stage infusion without any row dose",
    ]


def test_a_moment_without_offset_needs_a_zone() -> None:
    (found,) = read_import([EXAMPLE], None)
    assert any("--zone" in one.message for one in found.troubles)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("rows.ods", "", "give a .csv, .xlsx or .json"),
        ("rows.csv", "order,step\nX,packed\n", "no column record"),
        ("rows.csv", "record,order,record\ndose,X,dose\n", "is repeated"),
        ("rows.csv", "record,order\ndose,X,more\n", "more cells"),
        ("rows.json", "{}", "a list of objects"),
        ("rows.json", "[", "line 1"),
        ("rows.xlsx", "no workbook", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_as_a_whole(tmp_path: Path, name: str, body: str, words: str) -> None:
    (tmp_path / name).write_text(body)
    with pytest.raises(ImportFileError, match=words):
        read_import([tmp_path / name], ZONE)


def test_the_guide_lists_every_kind_of_record() -> None:
    text = GUIDE.read_text()
    assert [name for name in (*RECORDS, *PARTS) if f"`{name}`" not in text] == []
