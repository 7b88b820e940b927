"""The example site is whole: it passes its own checker and prices everything the claims ask for."""

from __future__ import annotations

from datetime import date

import pytest

from domain.rulebook import Rulebook
from domain.rulebook.rows import Payer
from domain.site import Site, SiteError, parse_site
from tests.kit.files import SITE_FILE

TEXT = SITE_FILE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site() -> Site:
    return parse_site(TEXT)


def test_every_payer_of_the_site_is_in_the_rulebook(site: Site, rules: Rulebook) -> None:
    for payer in site.payers:
        assert rules.maybe(Payer, date(2026, 6, 1), key=payer.key) is not None, payer.key


def test_lakeside_is_certified_for_yescarta_alone(site: Site) -> None:
    held = {(c.layer.value, c.product) for c in site.certifications if c.holder.startswith("lakeside")}

    assert ("fact", None) in held
    assert {product for layer, product in held if layer != "fact"} == {"yescarta"}


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ('npi = "1234560013"', 'npi = "1234560014"', "facilities.0.npi"),
        ('tax_id = "13-3456701"', 'tax_id = "00-3456701"', "facilities.2.tax_id"),
        ('time_zone = "America/New_York"', 'time_zone = "America/Nowhere"', "facilities.0.time_zone"),
        ('service = "collection"', 'service = "room_and_board"', "room_and_board is listed twice"),
        ('submitter_id = "STMARYCTN01"', 'submitter_id = "STMARY*CTN"', "submitter_id"),
        ('receiver_id = "EXMACJK"', 'receiver_id = "A RECEIVER TOO LONG"', "payers.0.receiver_id"),
    ],
)
def test_a_mistake_is_named(right: str, wrong: str, named: str) -> None:
    assert right in TEXT

    with pytest.raises(SiteError, match=named):
        parse_site(TEXT.replace(right, wrong, 1))


@pytest.mark.parametrize(
    ("installation", "facility", "payer", "mode"),
    [
        ("live", "live", "live", "live"),
        ("shadow", "live", "live", "shadow"),
        ("live", "shadow", "live", "shadow"),
        ("live", "live", "shadow", "shadow"),
    ],
)
def test_a_claim_is_live_only_where_installation_facility_and_payer_are_live(
    site: Site, installation: str, facility: str, payer: str, mode: str
) -> None:
    house = site.facilities[0].model_copy(update={"mode": facility})
    made = site.model_copy(update={"mode": installation, "facilities": (house, *site.facilities[1:])})

    assert made.mode_of(site.payers[0].model_copy(update={"mode": payer}), house.key) == mode


def test_an_unknown_facility_is_in_shadow(site: Site) -> None:
    assert site.mode_of(site.payers[0].model_copy(update={"mode": "live"}), "nowhere") == "shadow"
