"""The gateway under attack: nothing is read in two ways, nothing costs more than it may, no answer reveals too much."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlmodel import select

from app.api import actors, reading
from app.api.access import digest
from app.api.actors import Actor, Limits
from app.api.roles import Role
from store.facts import open_body
from store.originals import open_body as open_original
from store.tables import Inbox, Quarantine
from tests.kit import events as e
from tests.kit.gateway import Gateway

BODIES = ("/v1/events", "/v1/fhir", "/v1/preflight", "/v1/alerts/x/acknowledge")


def let_in(gateway: Gateway, *callers: Actor) -> None:
    gateway.api.state.parts.access.actors |= {digest(actor.name): actor for actor in callers}


async def send(gateway: Gateway, name: str, body: object) -> httpx.Response:
    return await gateway.http.post("/v1/events", json=body, headers={"Authorization": f"Bearer {name}"})


class Endless:
    """A body that goes on, and how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < 64 * actors.MAX_BODY:
            self.taken += 65536
            yield b" " * 65536


@pytest.mark.parametrize("path", [*BODIES, "/sign-in"])
async def test_no_more_of_a_body_is_read_than_the_limit_and_without_a_token_nothing(
    gateway: Gateway, path: str
) -> None:
    endless = Endless()
    answer = await gateway.http.post(path, content=endless)
    assert answer.status_code == (501 if path == "/v1/fhir" else 413)
    assert endless.taken <= actors.MAX_BODY + 65536
    nameless = Endless()
    answer = await gateway.http.post(path, content=nameless, headers={"Authorization": ""})
    assert answer.status_code == (413 if path == "/sign-in" else 401)
    assert nameless.taken <= 65536 if path != "/sign-in" else actors.MAX_BODY


@pytest.mark.parametrize("path", BODIES)
async def test_whoever_has_no_token_learns_nothing_of_a_body(gateway: Gateway, path: str) -> None:
    for body in (b"{", b"{}", b"[" * 5000):
        answer = await gateway.http.post(path, content=body, headers={"Authorization": "Bearer no"})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b'{"by": "x", "by": "y"}',
        b'{"by": NaN}',
        b'{"by": Infinity}',
        b'{"by": -Infinity}',
        b'{"a": ' * 65 + b"1" + b"}" * 65,
        b"[" * 200_000,
        '{"by": "x"}'.encode("utf-16"),
        b'{"by": "\xff"}',
        b"",
    ],
)
async def test_json_that_reads_two_ways_or_without_end_is_400_at_every_door(gateway: Gateway, body: bytes) -> None:
    for path in ("/v1/events", "/v1/preflight", "/v1/alerts/x/acknowledge"):
        answer = await gateway.http.post(path, content=body)
        assert answer.status_code == 400, (path, answer.text)
        assert "json" in answer.headers["content-type"]


async def test_odd_texts_are_refused_or_kept_and_never_break_anything(gateway: Gateway) -> None:
    for text in (
        "\x00",
        "\ud800",
        "a\x00b",
        "\u202egnirts",
        "x" * 500,
        "\U0001f9ec",
        "\r\nSet-Cookie: a=b",
        "'; DROP TABLE inbox;--",
    ):
        referral = e.referral()
        referral["data"]["patient"]["name"]["family"] = text
        for body in (referral, e.referral() | {"subject": text}, e.referral() | {text: 1}, e.referral() | {"id": text}):
            raw = json.dumps(body).encode()
            assert (await gateway.post(raw)).status_code in (202, 409, 422), (text, body)
        taken = await gateway.http.post("/v1/alerts/x/acknowledge", content=json.dumps({"by": text, text: 1}).encode())
        assert taken.status_code == 422
    for reference in (
        "%00",
        "..%2F..%2Fkeys.json",
        "%2e%2e",
        "..",
        "%ff",
        "a%0d%0aX-Evil:%201",
        "'%20OR%201=1--",
        "x" * 4000,
    ):
        answer = await gateway.get(f"/v1/encounters/{reference}")
        # PostgreSQL has no text with a zero character: there the value is refused, and not looked for.
        assert answer.status_code in ((404, 422) if reference == "%00" else (404,)), (reference, answer.text)
        assert "x-evil" not in answer.headers
    for query in ("hold=%00", "after=%00", "stage=%00", "limit=-1", "limit=1e9", "hold=" + "x" * 101):
        assert (await gateway.get(f"/v1/encounters?{query}")).status_code in (200, 422), query


async def test_a_token_counts_in_its_header_alone_and_once(gateway: Gateway) -> None:
    token = gateway.http.headers["authorization"].removeprefix("Bearer ")
    bare = {"Authorization": ""}
    for path in (f"/v1/encounters?access_token={token}", f"/v1/encounters?token={token}"):
        assert (await gateway.http.get(path, headers=bare)).status_code == 401
    assert (
        await gateway.http.get("/v1/encounters", headers=bare | {"Cookie": f"cart_session={token}"})
    ).status_code == 401
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer other")]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as stranger:
        assert (await stranger.get("/v1/encounters", headers=twice)).status_code == 401
        assert (await stranger.get("/v1/encounters", headers=twice[:1])).status_code == 200


def binary(**more: str) -> list[tuple[str, str]]:
    body = e.booking()
    return [
        ("content-type", "application/json"),
        *((f"ce-{name}", str(body[name])) for name in ("id", "source", "type", "subject", "specversion", "time")),
        *((name.replace("_", "-"), value) for name, value in more.items()),
    ]


async def test_a_header_of_an_event_stands_once_and_is_percent_encoded(gateway: Gateway) -> None:
    data = json.dumps(e.booking()["data"]).encode()

    async def post(lines: list[tuple[str, str]]) -> int:
        return (await gateway.http.post("/v1/events", content=data, headers=lines)).status_code

    assert await post(binary(ce_id="another")) == 400
    assert await post([*binary(), ("Content-Type", "application/cloudevents+json")]) == 400
    assert await post([(n, "%ff" if n == "ce-subject" else v) for n, v in binary()]) == 400
    assert await post([(n, "M%C3%BCller" if n == "ce-subject" else v) for n, v in binary()]) == 202
    assert (
        await post([(n, "another" if n == "ce-id" else v) for n, v in binary(ce_data="x", ce_datacontenttype="x")])
        == 202
    )
    with gateway.db.read() as session:
        bodies = [open_body(gateway.keys, row) for row in session.exec(select(Inbox))]
    assert [body["data"] for body in bodies] == [e.booking()["data"]] * 2


async def test_a_batch_is_bounded_by_the_limits_of_its_sender_and_counts_as_its_events(gateway: Gateway) -> None:
    now = [0.0]
    gateway.api.state.parts.access.now = lambda: now[0]
    let_in(gateway, Actor("small", frozenset({Role.FEED}), limits=Limits(1, 10, 4096, 4)))
    assert (await send(gateway, "small", [{"n": n} for n in range(5)])).status_code == 413
    assert (await send(gateway, "small", {"x": "y" * 5000})).status_code == 413
    with gateway.db.read() as session:
        assert session.exec(select(Quarantine)).all() == []
    for _ in range(2):
        assert (await send(gateway, "small", [{"n": n} for n in range(4)])).status_code == 202
    answer = await send(gateway, "small", {})
    assert (answer.status_code, int(answer.headers["retry-after"])) == (429, 1)
    now[0] += 1
    assert (await send(gateway, "small", {})).status_code == 422


async def test_a_caller_cannot_use_the_ids_of_another_source(gateway: Gateway) -> None:
    """Otherwise a sender could take an id first, and the real event would come as a conflict and never count."""
    referral = e.referral()
    let_in(
        gateway,
        Actor("owner", frozenset({Role.FEED}), sources=frozenset({referral["source"]})),
        Actor("thief", frozenset({Role.FEED}), sources=frozenset({"/thief"})),
    )
    squatted = {**referral, "subject": "X-1"}
    assert (await send(gateway, "thief", squatted)).status_code == 403
    assert (await send(gateway, "thief", [squatted])).json()["receipts"][0]["disposition"] == "invalid"
    assert (await send(gateway, "owner", referral)).status_code == 202


async def test_a_sender_of_another_facility_learns_nothing_of_an_event_and_leaves_no_conflict(gateway: Gateway) -> None:
    let_in(gateway, Actor("there", frozenset({Role.FEED}), frozenset({"lakeside"})))
    await gateway.opened()
    for body in (e.referral(), e.referral() | {"data": e.booking()["data"], "type": "cart.appointment.booked"}):
        answer = await send(gateway, "there", body)
        assert answer.status_code == 403
        assert "enc_" not in answer.text
    elsewhere = e.referral()
    elsewhere["data"]["facilities"] = {"apheresis": "lakeside", "infusion": "lakeside"}
    answer = await send(gateway, "there", elsewhere)
    assert answer.status_code == 403
    assert (await gateway.get("/v1/alerts?kind=event_conflict")).json()["alerts"] == []


async def test_a_failure_is_logged_by_its_class_alone(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("CANARY Quetzalcoatl")

    monkeypatch.setattr(reading, "summary", broken)
    await gateway.opened()
    with caplog.at_level(logging.DEBUG):
        transport = httpx.ASGITransport(gateway.api, raise_app_exceptions=True)
        headers = dict(gateway.http.headers)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as http:
            answer = await http.get("/v1/encounters")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    output = "".join(capfd.readouterr()) + caplog.text + answer.text
    assert "KeyError" in output
    assert "CANARY" not in output


async def test_a_name_that_reads_like_no_field_is_not_repeated_and_a_slip_is_named(gateway: Gateway) -> None:
    """Whoever builds names from data may have built one from a patient."""
    referral = e.referral("r-9")
    referral["data"]["Quetzalcoatl Xiomara 1961-04-05"] = 1
    referral["data"]["patient"]["birth_dat"] = "CANARY"
    referral["data"]["patient"]["regimen"] = "CANARY"
    del referral["data"]["patient"]["mrn"]
    answer = await gateway.post(referral)
    assert answer.status_code == 422
    assert {(one["path"], one["message"]) for one in answer.json()["problems"]} == {
        ("data.(unknown field)", "unknown field; remove it or correct its name"),
        ("data.patient.birth_dat", "unknown field; did you mean birth_date?"),
        ("data.patient.regimen", "this field does not belong here; remove it or put it where it belongs"),
        ("data.patient.mrn", "required field is missing"),
    }
    listed = (await gateway.get("/v1/quarantine?state=invalid")).text
    assert not [one for one in ("Quetzalcoatl", "CANARY") if one in listed + answer.text]
    with gateway.db.read() as session:
        kept = open_original(gateway.keys, session.exec(select(Quarantine)).one())
    assert kept.event == referral, "the original is whole, under encryption"


async def test_an_event_of_nothing_but_unknown_names_costs_little(gateway: Gateway) -> None:
    many = e.referral("r-9")
    many["data"] |= {f"birth_datf_{number}": 1 for number in range(8000)}
    answer = await gateway.post(many)
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) == 100
