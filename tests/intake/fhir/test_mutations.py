"""Every fixture damaged at random, through a real gateway and a real store: nothing escapes, nothing is lost, and what ends a
booking never makes one.

`CART_FUZZ_MESSAGES=1000` sends so many; some of them are part of every run.
"""

from __future__ import annotations

import copy
import json
import os
import random
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlmodel import func, select

from intake.fhir.notification import RESOURCES
from store.tables import Inbox
from tests.kit.fhir_fixtures import CASES, admit, mapping_with, send
from tests.kit.gateway import Gateway

MESSAGES = int(os.environ.get("CART_FUZZ_MESSAGES", "150"))
ENDED = ("cancelled", "noshow", "entered-in-error", "canceled", "no-show")
WITHOUT_EFFECT = ("proposed", "pending", "waitlist", "planned", "arrived", "triaged", "unknown")
Json = dict[str, Any]
VALUES: tuple[Any, ...] = (
    None, "", " ", 0, -1, 1e30, True, [], {}, [[]], [None], "x" * 5000, "\u202e", "\x00", "#", "Patient/", "2026-02-30",
    "2026-11-18T25:00:00Z", "0000-00-00T00:00:00Z", {"reference": "#"}, {"reference": 7}, {"coding": [{}]}, "Booked",
    {"system": None, "value": {}}, ["a", {"b": []}], "https://elsewhere.example/Patient/p1/_history/1",
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder in a body, with a key or a position in it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def without_an_element(dice: random.Random, body: Json) -> None:
    holder, key = dice.choice(list(places(body)))
    del holder[key]


def another_value(dice: random.Random, body: Json) -> None:
    holder, key = dice.choice(list(places(body)))
    holder[key] = copy.deepcopy(dice.choice(VALUES))


def as_a_list(dice: random.Random, body: Json) -> None:
    holder, key = dice.choice(list(places(body)))
    holder[key] = [holder[key], copy.deepcopy(holder[key])]


def elsewhere(dice: random.Random, body: Json) -> None:
    (first, one), (second, other) = dice.choice(list(places(body))), dice.choice(list(places(body)))
    first[one] = copy.deepcopy(second[other])


def strange_element(dice: random.Random, body: Json) -> None:
    holders = [holder for holder, _ in places(body) if isinstance(holder, dict)]
    dice.choice(holders or [body])[dice.choice(("vendor", "_status", "modifierExtension", "partOf"))] = {"x": 1}


def without_meta(_dice: random.Random, body: Json) -> None:
    for holder, _ in list(places(body)):
        if isinstance(holder, dict):
            holder.pop("meta", None)


MUTATIONS: tuple[Callable[[random.Random, Json], None], ...] = (
    without_an_element,
    another_value,
    another_value,
    as_a_list,
    elsewhere,
    strange_element,
    without_meta,
)


def mutated(dice: random.Random, message: bytes) -> bytes:
    body = json.loads(message)
    for _ in range(dice.choice((1, 1, 2, 4))):
        if list(places(body)):
            dice.choice(MUTATIONS)(dice, body)
    made = json.dumps(body).encode()
    return made[: dice.randrange(len(made))] if dice.random() < 0.05 else made


def bookings(gateway: Gateway) -> int:
    with gateway.db.read() as session:
        query = select(func.count()).select_from(Inbox)
        moved = ("cart.appointment.booked", "cart.appointment.rescheduled")
        return sum(session.exec(query.where(Inbox.type == kind)).one() for kind in moved)


def ends_everything(body: Any) -> bool:
    """Whether all that it brings ends a booking or a stay."""
    if not isinstance(body, dict):
        return False
    entries = (
        [one.get("resource") for one in body.get("entry", ()) if isinstance(one, dict)] if "entry" in body else [body]
    )
    brought = [one for one in entries if isinstance(one, dict) and one.get("resourceType") in RESOURCES]
    return bool(brought) and all(one.get("status") in ENDED for one in brought)


def says_something(body: Any) -> bool:
    return (
        isinstance(body, dict)
        and body.get("resourceType") in RESOURCES
        and body.get("status") not in WITHOUT_EFFECT
        and "DIET" not in json.dumps(body)
    )


async def test_of_damaged_resources_none_escapes_none_is_lost_and_none_that_ends_a_booking_makes_one(
    gateway: Gateway,
) -> None:
    dice, cases = random.Random(12), [case for case in CASES if (case / "message").stat().st_size]
    for number in range(MESSAGES):
        case: Path = cases[number % len(cases)]
        addition = case / "mapping.toml"
        mapping = mapping_with(addition.read_text() if addition.exists() else "")
        admit(gateway, mapping)
        for before in sorted(case.glob("before-*")):
            await send(gateway, "POST /v1/fhir", before.read_bytes(), {})
        expected = tomllib.loads((case / "expected.toml").read_text())
        message, counted = mutated(dice, (case / "message").read_bytes()), bookings(gateway)
        request, headers = expected.get("request", "POST /v1/fhir"), expected.get("headers", {})

        answer = await send(gateway, request, message, headers)

        said = f"message {number} of {case.name}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code in (200, 400, 409, 422), said
        if answer.status_code != 200:
            assert answer.json()["detail"], said
            continue
        body, receipts = json.loads(message), answer.json()["receipts"]
        if ends_everything(body):
            assert bookings(gateway) == counted, said
        if says_something(body) and not mapping.whole_hospital:
            assert receipts, said
            assert all(one["event_id"] or one["quarantine_id"] for one in receipts), said
