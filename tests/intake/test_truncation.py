"""Whatever is cut off, at any byte, is refused: no part of it has an effect, and the next request is answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlmodel import select

from intake.cloudevents import BATCH, STRUCTURED, NotReadable, read_http
from store.tables import Encounter, Inbox, Quarantine
from tests.kit import events as e
from tests.kit.fhir import PATIENT, appointment, fhir, r4b
from tests.kit.files import DOCS
from tests.kit.gateway import TOKEN, Gateway
from tests.kit.sockets import listening

__all__ = ["fhir"]

EXAMPLES = DOCS / "contract" / "events"
CATALOGUE = {path.name.removesuffix(".example.json"): path for path in sorted(EXAMPLES.glob("*.example.json"))}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_event_of_the_catalog_cut_at_any_byte_is_no_event(name: str) -> None:
    event: dict[str, Any] = json.loads(CATALOGUE[name].read_bytes())
    attributes = {f"ce-{key}": str(value) for key, value in event.items() if key != "data"}
    for headers, body in (
        ({"content-type": STRUCTURED}, json.dumps(event).encode()),
        ({"content-type": BATCH}, json.dumps([event, event]).encode()),
        ({"content-type": "application/json", **attributes}, json.dumps(event["data"]).encode()),
    ):
        assert read_http(headers.items(), body).events
        for length in range(len(body)):
            with pytest.raises(NotReadable):
                read_http(headers.items(), body[:length])


def stored(gateway: Gateway) -> int:
    with gateway.db.read() as session:
        return sum(len(session.exec(select(table)).all()) for table in (Inbox, Encounter, Quarantine))


async def test_a_cut_request_is_answered_400_and_leaves_nothing(gateway: Gateway) -> None:
    whole = json.dumps(e.referral()).encode()
    for length in range(0, len(whole), 7):
        assert (await gateway.post(whole[:length])).status_code == 400, length
    assert stored(gateway) == 0
    assert (await gateway.post(whole)).status_code == 202


async def test_a_cut_notification_is_answered_400_and_leaves_nothing(fhir: Gateway) -> None:
    whole = json.dumps(r4b("event-notification", [1], 1, appointment(1), PATIENT)).encode()
    for length in range(0, len(whole), 7):
        assert (await fhir.http.post("/v1/fhir", content=whole[:length])).status_code == 400, length
    assert stored(fhir) == 0
    assert (await fhir.http.post("/v1/fhir", content=whole)).status_code == 200


async def test_a_sender_that_dies_in_the_middle_of_a_request_leaves_nothing(gateway: Gateway) -> None:
    """Over a socket: fewer bytes than were announced, then the end."""
    body = json.dumps(e.referral()).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    request = head + body
    with listening(gateway.api) as url:
        for length in range(1, len(request), 41):
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
            writer.write(request[:length])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert stored(gateway) == 0
            answer = await http.post("/v1/events", content=body, headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 202
