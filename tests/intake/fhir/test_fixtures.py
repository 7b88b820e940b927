"""Every folder of tests/fixtures/fhir, sent to a gateway: what FHIR servers write, and what becomes of it.

A folder `<resource>_<status>/<quirk>` holds `message` (a body, as it comes), what was sent before it (`before-1`, …), additions
to the packaged mapping (`mapping.toml`), and `expected.toml`: the request where it is no `POST /v1/fhir`, its headers, the
dispositions of the receipts, the bookings and stays afterwards, the states in quarantine, the numbers of missing
notifications, and the departures that are counted. The quirk of a server is added as a folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.kit.fhir_fixtures import CASES, FHIR, KEPT, around, outcome_of, send
from tests.kit.gateway import Gateway


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
async def test_the_fixture_does_what_it_must_and_again_nothing(gateway: Gateway, case: Path) -> None:
    """A server that got no answer sends again: the same effect, no second entry for a person, and an answer it can parse."""
    expected = tomllib.loads((case / "expected.toml").read_text())
    found = await outcome_of(gateway, case, expected)
    assert {key: found[key] for key in KEPT} == {key: expected.get(key, []) for key in KEPT}
    assert found["departures"] == sorted(expected.get("departures", []))
    assert expected.get("text", "") in "; ".join(found["reasons"])
    body, headers = (case / "message").read_bytes(), expected.get("headers", {})
    again = await send(gateway, expected.get("request", "POST /v1/fhir"), body, headers | {"Accept": FHIR})
    assert (again.status_code, again.headers["content-type"]) == (200, FHIR)
    assert again.json()["resourceType"] in ("OperationOutcome", "Appointment", "Encounter", "Patient", "Location")
    assert around(gateway) == {key: found[key] for key in ("appointments", "stays", "quarantine")}
