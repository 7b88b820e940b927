"""The stories that are disturbed: every scenario as a live feed, and what happens to a claim once it is billed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from intake.scenario_feeds import expand
from tests.chaos.outcome import filed
from tests.chaos.world import World
from tests.kit.feeds import ANCHOR, SCENARIOS
from tests.kit.files import SAMPLES, SITE_FILE

Event = dict[str, Any]
PARTS = 4
"""A feed arrives in so many parts, each at its own time."""
HOLD = timedelta(days=5)
"""Longer than claims wait after they are emitted."""


@dataclass(frozen=True)
class Story:
    """A story: what happens before the faults, once and undisturbed, and what is disturbed.

    Attributes:
        batch: minutes for which claims of a partner share a file.
    """

    name: str
    before: Callable[[World], None]
    body: Callable[[World], None]
    batch: int = 0


def site_file(directory: Path, batch: int) -> Path:
    """The example site with every payer live."""
    text = SITE_FILE.read_text(encoding="utf-8").replace('mode = "shadow"', 'mode = "live"')
    path = directory / f"site-{batch}.toml"
    path.write_text(text.replace("batch_minutes = 0", f"batch_minutes = {batch}"), encoding="utf-8")
    return path


def feed(letter: str) -> list[Event]:
    return [dict(event) for event in expand(SCENARIOS[letter].feed, ANCHOR)]


def when(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"]).astimezone(UTC)


def nothing(_world: World) -> None:
    return


def scenario(letter: str) -> Callable[[World], None]:
    """The whole feed in parts, then two months."""

    def body(world: World) -> None:
        events = sorted(feed(letter), key=when)
        size = -(-len(events) // PARTS)
        for first in range(0, len(events), size):
            part = events[first : first + size]
            world.runs.now = max(world.runs.now, when(part[-1]))
            world.post(part)
            world.news()
        world.advance(HOLD)
        world.advance(timedelta(days=55))

    return body


def billed(world: World) -> None:
    """Scenario A is documented, its claims are emitted."""
    events = feed("a")
    world.runs.now = max(map(when, events))
    world.post(events)
    world.news()
    world.advance(timedelta(days=1))


def sent(world: World) -> None:
    billed(world)
    world.advance(HOLD)


def answer(world: World, sample: str, claim: str, changes: dict[str, str] | None = None) -> None:
    """A payer's file about a claim."""
    number = world.until_done("numbers")[claim]
    interchange = next(one for one in filed(world.home / "outbox") if one.number == number).interchange
    text = (SAMPLES / sample).read_text().replace("@CLAIM@", number).replace("@INTERCHANGE@", str(int(interchange)))
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    world.reply(text.replace("*0*T*:~", "*0*P*:~"), f"{claim.replace('/', '-')}-{sample}")
    world.news()


def corrected(world: World, event: Event, number: int, **data: Any) -> None:
    """A correction of an event, by the one who sent it."""
    world.runs.now += timedelta(hours=1)
    made = {
        "specversion": "1.0",
        "id": f"correction-{number:04d}",
        "source": event["source"],
        "subject": event["subject"],
        "type": "cart.correction.made",
        "time": world.runs.now.isoformat(),
        "data": {"of": {"source": event["source"], "id": event["id"]}, "reason": "entered wrongly", "signer": "biller"},
    }
    made["data"] |= data
    world.post([made])
    world.news()


def charge(world: World, amount: str, number: int) -> None:
    event = next(e for e in reversed(feed("a")) if e["type"] == "cart.charge.posted" and "admission_id" in e["data"])
    corrected(world, event, number, replacement={**event["data"], "amount": amount})


def named(world: World, number: int, **coverage: str) -> None:
    event = next(e for e in feed("a") if e["type"] == "cart.referral.received")
    corrected(
        world, event, number, replacement={**event["data"], "coverage": {**event["data"]["coverage"], **coverage}}
    )


def is_sent(world: World) -> None:
    world.advance(HOLD)


def is_batched(world: World) -> None:
    world.advance(HOLD)
    charge(world, "101.00", 1)
    world.advance(timedelta(days=1))


def is_paid(world: World) -> None:
    answer(world, "accepted.999.x12", "C/1")
    answer(world, "accepted.277ca.x12", "C/1")
    answer(world, "paid.835.x12", "C/1")
    world.advance(timedelta(days=2))


def is_rejected(world: World) -> None:
    answer(world, "rejected.277ca.x12", "C/1")
    named(world, 1, member_id="1EG4TE5MK99")
    world.advance(HOLD)
    answer(world, "accepted.277ca.x12", "C/1")
    world.advance(timedelta(days=1))


def is_denied(world: World) -> None:
    answer(world, "accepted.277ca.x12", "C/1")
    answer(world, "denied.835.x12", "C/1")
    world.advance(timedelta(days=30))


def is_replaced(world: World) -> None:
    answer(world, "accepted.277ca.x12", "C/1")
    charge(world, "101.00", 1)
    world.advance(HOLD)
    answer(world, "accepted.277ca.x12", "C/1", {"2260000000007": "2260000000008"})
    charge(world, "102.00", 2)
    world.advance(HOLD)


def is_voided(world: World) -> None:
    answer(world, "accepted.277ca.x12", "A/1")
    collected = next(e for e in feed("a") if e["type"] == "cart.apheresis.completed")
    corrected(world, collected, 1, retract=True)
    world.advance(HOLD)


def goes_to_another_payer(world: World) -> None:
    answer(world, "accepted.277ca.x12", "C/1")
    subject = feed("a")[0]["subject"]
    for kind, data in (
        ("submitted", {"number": "AUTH-9", "submitted_on": "2026-03-01"}),
        ("decided", {"number": "AUTH-9", "decision": "approved", "valid_from": "2026-03-02", "valid_to": "2027-12-31"}),
    ):
        world.post(
            [
                {
                    "specversion": "1.0",
                    "id": f"authorization-{kind}",
                    "source": "urn:st-mary:coordination",
                    "subject": subject,
                    "type": f"cart.authorization.{kind}",
                    "time": world.runs.now.isoformat(),
                    "data": data,
                }
            ]
        )
    named(world, 1, payer="uhc", member_id="911000777")
    world.advance(HOLD)
    world.advance(HOLD)


STORIES = {
    story.name: story
    for story in (
        *(Story(f"scenario {letter}", nothing, scenario(letter)) for letter in sorted(SCENARIOS)),
        Story("sent", billed, is_sent),
        Story("batch", billed, is_batched, batch=60),
        Story("paid", sent, is_paid),
        Story("rejected", sent, is_rejected),
        Story("denied", sent, is_denied),
        Story("replaced", sent, is_replaced),
        Story("voided", sent, is_voided),
        Story("another payer", sent, goes_to_another_payer),
    )
}
