"""What every test may use: the rulebook of the repository in both editions, and the fixtures of `tests/kit`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from domain.rulebook import Rulebook, load

pytest_plugins = ("tests.kit.databases", "tests.kit.gateway", "tests.kit.metrics_store", "tests.kit.programs")
RULEBOOK = Path(__file__).parent.parent / "domain" / "rulebook"
# No example fails for the time it took: a busy machine is no defect.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

NOT_RULES = frozenset({"coverage.toml"})


def rulebook_texts() -> dict[str, str]:
    """The rulebook's files as `load` wants them."""
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(RULEBOOK.glob("*.toml"))
        if path.name not in NOT_RULES
    }


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-histories", action="store_true", help="keep the histories of the workflow tests under tests/replay"
    )


@pytest.fixture(scope="session")
def rules() -> Rulebook:
    return load(rulebook_texts(), "current")


@pytest.fixture(scope="session")
def guide_rules() -> Rulebook:
    return load(rulebook_texts(), "guide")


@pytest.fixture(scope="session")
def rulebook_files() -> dict[str, str]:
    """The texts of the tables, to be changed and loaded again."""
    return rulebook_texts()
