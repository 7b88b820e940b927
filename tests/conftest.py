"""What every test may use: the fixtures of `tests/kit`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.kit")
pytest_plugins = (
    "tests.kit.claim_life",
    "tests.kit.databases",
    "tests.kit.fhir",
    "tests.kit.gateway",
    "tests.kit.metrics_store",
    "tests.kit.mllp",
    "tests.kit.programs",
    "tests.kit.rules",
    "tests.kit.site",
)
# No example fails for the time it took: a busy machine is no defect.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


SLOWEST_FIRST = (
    "tests/workflows/test_earlier_release.py",
    "tests/workflows/test_continue_as_new.py",
    "tests/workflows/test_claim_faults.py",
    "tests/workflows/test_restored.py",
    "tests/stack/",
    "tests/chaos/",
    "tests/workflows/",
    "tests/intake/test_frozen_peers.py",
)
"""Files that take minutes and wait for most of them: begun first, beside each other, so that no process ends with one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first; all else in its order."""

    def place(item: pytest.Item) -> int:
        return next((n for n, path in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(path)), len(SLOWEST_FIRST))

    items.sort(key=place)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-histories", action="store_true", help="keep the histories of the workflow tests under tests/replay"
    )
