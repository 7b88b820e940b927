"""The rulebook of the repository in both editions, and its texts for tests that change one."""

from __future__ import annotations

from functools import cache

import pytest

from domain.rulebook import Rulebook, load
from domain.rulebook.rows import Edition
from tests.kit.files import RULEBOOK

NOT_RULES = frozenset({"coverage.toml"})


def rulebook_texts() -> dict[str, str]:
    """The rulebook's files as `load` takes them."""
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(RULEBOOK.glob("*.toml"))
        if path.name not in NOT_RULES
    }


@cache
def rulebook(edition: Edition = "current") -> Rulebook:
    """The loaded rulebook; read once for a run."""
    return load(rulebook_texts(), edition)


@pytest.fixture(scope="session")
def rules() -> Rulebook:
    return rulebook("current")


@pytest.fixture(scope="session")
def guide_rules() -> Rulebook:
    return rulebook("guide")


@pytest.fixture(scope="session")
def rulebook_files() -> dict[str, str]:
    """The texts of the tables, to be changed and loaded again."""
    return rulebook_texts()


def rules_with(key: str, value: str, **narrow: str) -> Rulebook:
    """The rulebook with one more policy row, by default of the payer of these stories."""
    texts = {path.name: path.read_text() for path in RULEBOOK.glob("*.toml") if path.name != "coverage.toml"}
    columns = narrow or {"payer": "aetna"}
    extra = "".join(f'{name} = "{text}"\n' for name, text in columns.items())
    row = f'[[policies]]\nid = "policies.test"\nkey = "{key}"\nvalue = "{value}"\ntitle = "test"\n{extra}'
    texts["zz.toml"] = row + 'effective_from = 2017-01-01\nsource = ["test"]\nstatus = "verified"\nrefresh = "fixed"\n'
    return load(texts)
