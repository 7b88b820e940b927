"""The banned words of the glossary stay out of code and text. Names of contracts are exempt where they are read and written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.files import ROOT

BANNED = tuple(
    line
    for line in (Path(__file__).parent / "banned_words.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)
SUFFIXES = {".py", ".md", ".toml", ".html", ".j2", ".yml", ".yaml", ".js", ".css", ".sh", ".csv", ""}
OTHERS = (
    "tests/replay/",
    "tests/house/banned_words.txt",
    "tests/house/test_words.py",
    "docs/contract/events/",
    "deploy/migrations/versions/",
)
"""Recorded data, the list and its test, generated schemas of stored values, and revisions that are never edited."""

CONTRACT = frozenset(
    {
        "aside",
        "aside_days",
        "untold",
        "told_state",
        "told_escalations",
        "told_severity",
        "tumour_burden",
        "heard_at",
        "heard",
    }
    | {"ASIDE", "cart_shelf_up", "papers", "eligibility_papers", "feeds_heard", "ix_alerts_untold"}
)
"""Stored values, columns, metrics and keys that keep their spelling, only as a whole name; `ASIDE` is the constant of `aside`."""

QUOTED = frozenset({"aside", "untold", "heard"})
"""Only where quoted."""

KEYS = frozenset({"papers"})
"""Keys of answers: only where quoted, or as a field (`.papers`, `papers:`, `papers=`)."""

RECORDS = frozenset({"hand_over"})
"""Kinds of record in import files: only where quoted, or as the first cell of a line."""

RULE_IDS = re.compile(r"paper(_[a-z0-9_]*)?")
"""Ids of rows and edits: only where quoted, or after the name of their table (`edits.paper_rems_letter`)."""

FIXED_NAMES = re.compile(r"\bCartShelfUnreadable\b|\bvoid-asked-anew\b")
"""Names of alert rules, runbooks and workflow patches that keep their spelling."""

PATTERN = re.compile(
    "(?<![A-Za-z])("
    + "|".join(re.escape(w).replace(r"\ ", r"\s+").replace(r"\-", "[-_]") for w in BANNED)
    + ")(?![A-Za-z])",
    re.IGNORECASE,
)
NAME = re.compile(r"\w+")


def files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [
        ROOT / line for line in listed.splitlines() if Path(line).suffix in SUFFIXES and not line.startswith(OTHERS)
    ]


def found(text: str) -> Iterator[str]:
    """Every banned word with its line; in CamelCase names, too."""
    for number, line in enumerate(text.splitlines(), 1):
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", FIXED_NAMES.sub("", line))
        for match in PATTERN.finditer(apart):
            if not _contract(apart, match):
                yield f"{number}: {match.group(1)}"


def _contract(line: str, match: re.Match[str]) -> bool:
    name = next(word for word in NAME.finditer(line) if word.start() <= match.start() < word.end())
    before, after = line[max(name.start() - 1, 0) : name.start()], line[name.end() : name.end() + 1]
    quoted = any(quote in before + after for quote in "\"'`")
    if RULE_IDS.fullmatch(name.group()):
        return quoted or before == "."
    if name.group() in RECORDS:
        return quoted or (not before and after == ",")
    if name.group() not in CONTRACT:
        return False
    if name.group() in KEYS:
        return quoted or before == "." or after in (":", "=")
    return name.group() not in QUOTED or quoted


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_word_is_written(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        pytest.skip("not a text file")
    assert list(found(text)) == []


def test_the_list_finds_what_it_bans_and_lets_contracts_pass() -> None:
    assert len(list(found("He told the centre; the hand_over was done; class FeedHeard"))) == 4
    assert list(found('state = "aside"; row.told_state; kind tumour_burden')) == []
    assert list(found("put it aside")) == ["1: aside"]
    assert list(found('hand_over,ORDER-1\n"hand_over"; patched("void-asked-anew"); ix_alerts_untold')) == []
    assert list(found("packet.papers; papers: tuple; cart_shelf_up; CartShelfUnreadable.md")) == []
    assert list(found('"edits.paper_rems_letter"; edit="paper"; f"paper_{kind}"')) == []
    assert list(found("the papers on the shelf; ShelfReader")) == ["1: papers", "1: shelf", "1: Shelf"]
