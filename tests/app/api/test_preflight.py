"""`POST /v1/preflight` on a real gateway: holder facts of the database count, nothing is stored, nothing is logged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func
from sqlmodel import SQLModel, select

from domain.preflight import Preflight
from tests.kit import referrals as r
from tests.kit.gateway import Gateway

CANARY = "CANARY-7"


async def ask(gateway: Gateway, body: Any) -> Preflight:
    answer = await gateway.http.post("/v1/preflight", json=body)
    assert answer.status_code == 200, answer.text
    return Preflight.model_validate_json(answer.text)


def rows(gateway: Gateway) -> dict[str, int]:
    with gateway.db.read() as session:
        return {
            name: session.exec(select(func.count()).select_from(table)).one()
            for name, table in SQLModel.metadata.tables.items()
        }


def named() -> dict[str, Any]:
    body = r.insured("uhc")
    patient = {**body["patient"], "mrn": CANARY, "name": {"family": CANARY, "given": CANARY}}
    return {**body, "patient": patient, "prescriber_npi": "1234560211"}


async def test_the_event_and_its_data_have_one_answer(gateway: Gateway) -> None:
    whole, bare = await ask(gateway, r.event()), await ask(gateway, r.data())

    assert whole == bare
    assert whole.gates


async def test_nothing_is_stored_and_nothing_is_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    before = rows(gateway)

    answer = await gateway.http.post("/v1/preflight", json=named())
    broken = await gateway.http.post("/v1/preflight", json={**named(), "weight_kg": CANARY, "extra": CANARY})

    assert (answer.status_code, broken.status_code) == (200, 422)
    assert CANARY not in answer.text + broken.text
    assert rows(gateway) == before
    output = capfd.readouterr()
    assert CANARY not in caplog.text + output.out + output.err


async def test_a_certificate_reported_to_the_gateway_counts(gateway: Gateway) -> None:
    body = r.insured("uhc", facilities={"apheresis": "lakeside", "infusion": "lakeside"})
    missing = "readiness.authorized_center.apheresis_facility"
    assert missing in r.missing(await ask(gateway, body))

    for product in ("yescarta", "tecartus"):
        event = {
            "specversion": "1.0",
            "id": f"cert-{product}",
            "source": "urn:test",
            "subject": "lakeside",
            "type": "cart.certification.changed",
            "time": "2026-01-05T12:00:00Z",
            "data": {
                "layer": "authorized_center",
                "product": product,
                "holder": "lakeside",
                "status": "active",
                "valid_from": "2026-01-01",
            },
        }
        assert (await gateway.post(event)).status_code == 202
        assert (missing in r.missing(await ask(gateway, body))) is (product == "yescarta")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"product": 7}, "data.product"),
        ({"specversion": "1.0", "type": "cart.charge.posted", "data": {}}, "type"),
        ([], "(body)"),
        ("text", "(body)"),
        ({**r.data(), "weight_kg": -1}, "data.weight_kg"),
        ({**r.data(), "unheard_of": 1}, "data.unheard_of"),
        ({**r.data(), "bsa_m2": None}, "data"),
    ],
)
async def test_what_does_not_fit_is_422_with_the_path_of_the_field(gateway: Gateway, body: Any, path: str) -> None:
    answer = await gateway.http.post("/v1/preflight", json=body)

    assert answer.status_code == 422, answer.text
    assert path in {problem["path"] for problem in answer.json()["problems"]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
async def test_what_is_no_json_is_refused(gateway: Gateway, content: bytes) -> None:
    answer = await gateway.http.post("/v1/preflight", content=content, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert json.loads(answer.text)["problems"] or answer.status_code == 400
