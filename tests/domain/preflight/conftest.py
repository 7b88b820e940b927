"""The example site, whole and with certificates taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.site import Site, parse_site


@pytest.fixture(scope="session")
def site() -> Site:
    path = Path(__file__).resolve().parents[3] / "deploy" / "site.example.toml"
    return parse_site(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def uncertified(site: Site) -> Site:
    return site.model_copy(update={"certifications": ()})
