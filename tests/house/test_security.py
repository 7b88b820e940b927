"""docs/security.md: every row names a test that exists, or says that it is not covered."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.kit.files import DOCS, ROOT

TEXT = (DOCS / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
BOUNDARIES = (
    "Senders to gateway",
    "HL7 v2 over MLLP",
    "FHIR",
    "Payer files",
    "Board",
    "API and command line",
    "Temporal",
    "Database",
    "Outbox",
    "Alert destinations",
    "Backups",
    "Supply chain",
)
OPEN = re.compile(r"not covered|not run here|yours", re.IGNORECASE)
"""What a row without a test says."""
PARAGRAPHS = (
    *(f"(a)({part})" for part in ("1", "2)(i", "2)(ii", "2)(iii", "2)(iv")),
    *("(b)", "(c)(1)", "(c)(2)", "(d)", "(e)(1)", "(e)(2)"),
)
SECTIONS = (*(f"11.10({letter})" for letter in "abcdefghijk"), "11.50", "11.70", "11.100", "11.200", "11.300")


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_"))


def rows() -> Iterator[tuple[str, str]]:
    """Boundary and row of each threat."""
    part = TEXT[TEXT.index("## Threats at each boundary") : TEXT.index("## 45 CFR 164.312")]
    for section in part.split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        yield from ((title, line) for line in body.splitlines() if re.match(r"\| [STRIDE](, [STRIDE])* \|", line))


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(TEXT))))
def test_every_named_test_exists(path: str, name: str) -> None:
    assert Path(ROOT / path).is_file()
    assert not name or name in functions_of(path)


def test_every_threat_has_a_test_or_says_that_it_has_none() -> None:
    assert [row for _, row in rows() if not NAMED.search(row) and not OPEN.search(row)] == []


def test_every_boundary_is_there() -> None:
    assert tuple(dict.fromkeys(boundary for boundary, _ in rows())) == BOUNDARIES


def test_every_paragraph_of_the_regulations_is_mapped() -> None:
    hipaa = TEXT[TEXT.index("## 45 CFR 164.312") : TEXT.index("## 21 CFR Part 11")]
    assert [one for one in PARAGRAPHS if one not in hipaa] == []
    part_11 = TEXT[TEXT.index("## 21 CFR Part 11") :]
    assert [one for one in SECTIONS if one not in part_11] == []
