"""A reader of X12 names no separator: they are those of each interchange (ISA), and one module knows how they cut."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUTTING = frozenset(
    {"split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip", "find", "index", "count"}
)
SEPARATORS = frozenset("*:^~|>'")
WRITERS = frozenset({"__init__", "bill_segments", "envelope", "institutional", "parties", "professional"})
"""What writes an 837 chooses its separators itself."""
OWN_CODES = {("acknowledgements", "rstrip")}
"""Codes of an event are joined by colons, whatever the file has."""
READERS = [
    path
    for room in ("domain/billing/x12", "intake/payer_files")
    for path in sorted((ROOT / room).glob("*.py"))
    if path.stem not in WRITERS
]


def literal_separators(source: str) -> Iterator[tuple[int, str]]:
    """Calls that cut at a literal separator."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTTING):
            continue
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, (str, bytes)):
                text = argument.value if isinstance(argument.value, str) else argument.value.decode("latin-1")
                if SEPARATORS & set(text):
                    yield node.lineno, node.func.attr


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.stem)
def test_no_reader_names_a_separator(path: Path) -> None:
    found = [(line, call) for line, call in literal_separators(path.read_text()) if (path.stem, call) not in OWN_CODES]
    assert found == []


def test_the_rule_sees_what_it_forbids() -> None:
    assert list(literal_separators('at(s, 1).partition(":")')) == [(1, "partition")]
    assert list(literal_separators('text.split("~")\nb"".split(b"*")')) == [(1, "split"), (2, "split")]
    assert list(literal_separators("at(s, 1).split(marks.component)")) == []
