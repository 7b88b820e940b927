"""The example site with certificates taken away."""

from __future__ import annotations

import pytest

from domain.site import Site


@pytest.fixture(scope="session")
def uncertified(site: Site) -> Site:
    return site.model_copy(update={"certifications": ()})
