"""A second product is data: enabled in the tables, certified in the site file, and the whole encounter runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.decision.model import Decision
from domain.rulebook import Rulebook, load
from domain.site import Site, parse_site
from intake.scenario_feeds import expand, load_feed
from tests.kit.feeds import ANCHOR, decided, translated
from tests.kit.files import SCENARIOS, SITE_FILE

NOW = datetime(2026, 7, 8, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def enabled(rulebook_files: dict[str, str]) -> Rulebook:
    head, _, row = rulebook_files["products.toml"].partition('id = "products.yescarta"')
    assert "enabled = false" in row
    products = f'{head}id = "products.yescarta"{row.replace("enabled = false", "enabled = true", 1)}'
    return load({**rulebook_files, "products.toml": products})


@pytest.fixture(scope="module")
def certified() -> Site:
    """The example site with its certificates, prices and cost for the other product."""
    text = SITE_FILE.read_text(encoding="utf-8")
    return parse_site(text.replace("tecartus", "yescarta").replace("Q2053", "Q2041"))


def played(tmp_path: Path, site: Site, rules: Rulebook) -> Decision:
    """Scenario (a) for the other product, decided on the last day of its feed."""
    text = (SCENARIOS / "a_mcl_medicare_inpatient.json").read_text(encoding="utf-8")
    path = tmp_path / "other_product.json"
    path.write_text(translated(text), encoding="utf-8")
    return decided(expand(load_feed(path), ANCHOR), site, rules, NOW)


def test_an_encounter_of_the_second_product_has_its_own_codes(
    tmp_path: Path, certified: Site, enabled: Rulebook
) -> None:
    decision = played(tmp_path, certified, enabled)

    assert [hold.id for hold in decision.holds] == []
    claims = {claim.key: claim for claim in decision.claims if claim.ready}
    assert sorted(claims) == ["A/1", "B/1", "C/1"]
    stay = claims["C/1"]
    assert [procedure.code for procedure in stay.procedures] == ["XW033H7"]
    assert [line.units for line in stay.lines if line.hcpcs == "Q2041"] == [1]
    assert not any(claim.errors for claim in claims.values())
    assert "Q2053" not in decision_text(decision)


def test_a_product_that_is_not_enabled_is_held_before_collection(
    tmp_path: Path, certified: Site, rules: Rulebook
) -> None:
    decision = played(tmp_path, certified, rules)

    assert "product" in " ".join(hold.id for hold in decision.holds)


def test_certificates_of_the_sister_product_do_not_clear_the_second_product(tmp_path: Path, enabled: Rulebook) -> None:
    site = parse_site(SITE_FILE.read_text(encoding="utf-8"))

    decision = played(tmp_path, site, enabled)

    assert "authorized_center" in {hold.requirement.layer for hold in decision.holds}


def decision_text(decision: Decision) -> str:
    return "".join(claim.model_dump_json() for claim in decision.claims)
