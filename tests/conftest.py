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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-histories", action="store_true", help="keep the histories of the workflow tests under tests/replay"
    )
