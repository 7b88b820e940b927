"""Asking a FHIR server for what did not come: `$events` of a subscription, until all of them are here, and resources that
messages only name.

Subscriptions R5 Backport, https://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-events.html
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from intake.fhir.authorization import NotAuthorized, Tokens
from intake.fhir.notification import NAMED, NotFhir, Notification, deletion, read_notification
from intake.fhir.notification_gaps import ASK_AFTER
from intake.fhir.receiver import FhirReceiver
from intake.site_mapping import FhirFeed
from intake.site_mapping import SiteMapping as SiteMapping
from store import fhir
from store.engine import Database
from store.feeds import subscriptions_to_ask
from store.keys import Keyring
from store.tables import FhirSubscription
from store.vault import audit

CHECK_SECONDS = 5.0
ANSWER_SECONDS = 15.0
LARGEST_ANSWER = 8 * 1024 * 1024
LONGEST_PAUSE = timedelta(hours=1)
MOST_ASKED = 200
"""How often a resource is asked for, about a week long; what waits for it is a person's work all the while."""

GONE = "gone"
_SUBSCRIPTION = re.compile(r"(?:^|/)(Subscription/[A-Za-z0-9.-]{1,64})$")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is missing of one subscription."""

    key: str
    feed: FhirFeed
    reference: str
    first: int
    last: int


class Asker:
    """Asks for what is missing, in the background. Every question and its outcome is in the audit record.

    Args:
        wake: called when something came.
    """

    def __init__(
        self, db: Database, keys: Keyring, mapping: SiteMapping, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._db, self._mapping, self._clock, self._wake = db, mapping, clock, wake
        self._keys = keys
        self._receiver = FhirReceiver(db, keys, mapping)
        self._tokens = Tokens()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                await self.ask()
            except Exception as error:  # noqa: BLE001 one that is gone would not be missed: asked again
                log.warning("fhir.not_asked", error=type(error).__name__)
            await asyncio.sleep(CHECK_SECONDS)

    async def ask(self) -> int:
        """Ask whatever is due now; returns how many questions were asked."""
        questions = await asyncio.to_thread(self._due)
        for question in questions:
            outcome = await self._asked(question)
            await asyncio.to_thread(self._record, question, outcome)
        return len(questions) + await self._ask_for_resources()

    async def _ask_for_resources(self) -> int:
        wanted = await asyncio.to_thread(self._wanted)
        for one, feed in wanted:
            outcome = await self._brought(one, feed)
            await asyncio.to_thread(self._record_resource, one, feed, outcome)
        return len(wanted)

    def _wanted(self) -> list[tuple[fhir.Wanted, FhirFeed]]:
        with self._db.read() as session:
            found = fhir.due(session, self._keys, self._clock())
        feeds = [(one, self._mapping.fhir_feed(one.feed)) for one in found]
        return [(one, feed) for one, feed in feeds if feed is not None and feed.ask_at is not None]

    async def _brought(self, wanted: fhir.Wanted, feed: FhirFeed) -> str:
        """Ask for one resource and read it; returns the outcome in a word."""
        kind, name = wanted.reference.split("/")
        try:
            resource = json.loads(await self._fetch(feed, f"{kind}/{name}", {}))
            if not isinstance(resource, dict) or (resource.get("resourceType"), resource.get("id")) != (kind, name):
                return "another resource"
            notification = read_notification(resource)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.GONE:
                return f"refused {error.response.status_code}"
            notification = deletion(kind, name)
        except (httpx.HTTPError, OSError) as error:
            return f"unreachable {type(error).__name__}"
        except NotAuthorized:
            return "unauthorized"
        except (NotFhir, ValueError, RecursionError):
            return "unreadable"
        for one in (notification, *_numbers(wanted)):
            await asyncio.to_thread(self._receiver.take, feed, one, self._clock(), None)
        self._wake()
        return GONE if notification.deleted or notification.forgotten else "answered"

    def _record_resource(self, wanted: fhir.Wanted, feed: FhirFeed, outcome: str) -> None:
        now, kind = self._clock(), wanted.reference.split("/")[0]
        pause = min(LONGEST_PAUSE, ASK_AFTER * 2.0 ** min(wanted.asked + 1, 20))
        again = None if outcome in ("answered", GONE) or wanted.asked >= MOST_ASKED else now + pause
        with self._db.write() as session:
            audit(session, feed.name, "ask", f"a {kind}" if kind in NAMED else f"an {kind}", outcome, now)
            fhir.asked(session, wanted.key, again)
        log.info("fhir.asked", feed=feed.name, outcome=outcome)

    def _due(self) -> list[_Question]:
        with self._db.read() as session:
            rows = subscriptions_to_ask(session, self._clock())
        return [question for row in rows if row.missing and (question := self._question(row))]

    def _question(self, row: FhirSubscription) -> _Question | None:
        """None where the mapping names no server to ask, or the sender named a subscription that is not of its server."""
        feed, found = self._mapping.fhir_feed(row.feed), _SUBSCRIPTION.search(row.reference)
        if feed is None or feed.ask_at is None or found is None:
            return None
        return _Question(row.subscription_key, feed, found.group(1), row.missing[0], row.missing[-1])

    async def _asked(self, question: _Question) -> str:
        """Ask, take in what is answered; returns the outcome in a word."""
        try:
            body = await self._fetch(question.feed, f"{question.reference}/$events", _range(question))
            notification = read_notification(json.loads(body))
        except httpx.HTTPStatusError as error:
            return f"refused {error.response.status_code}"
        except (httpx.HTTPError, OSError) as error:
            return f"unreachable {type(error).__name__}"
        except NotAuthorized:
            return "unauthorized"
        except (NotFhir, ValueError, RecursionError):
            return "unreadable"
        await asyncio.to_thread(self._receiver.take, question.feed, notification, self._clock(), None)
        self._wake()
        return "answered"

    def _record(self, question: _Question, outcome: str) -> None:
        now = self._clock()
        with self._db.write() as session:
            audit(session, question.feed.name, "ask", f"events {question.first} to {question.last}", outcome, now)
            row = session.get_one(FhirSubscription, question.key, with_for_update=True)
            if row.missing:
                row.asked += 1
                row.ask_at = now + min(LONGEST_PAUSE, ASK_AFTER * 2.0 ** min(row.asked, 20))
            session.add(row)
        log.info("fhir.asked", feed=question.feed.name, outcome=outcome)

    async def _fetch(self, feed: FhirFeed, address: str, parameters: Mapping[str, str]) -> bytes:
        """What the feed's server answers; with another token where it refuses the one we have."""
        url = f"{str(feed.ask_at).rstrip('/')}/{address}"
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False) as client:
            try:
                return await self._read(client, feed, url, parameters)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.UNAUTHORIZED or not self._tokens.drop(feed):
                    raise
            return await self._read(client, feed, url, parameters)

    async def _read(self, client: httpx.AsyncClient, feed: FhirFeed, url: str, parameters: Mapping[str, str]) -> bytes:
        headers = {"Accept": "application/fhir+json", **await self._tokens.header(client, feed)}
        body = b""
        async with client.stream("GET", url, params=dict(parameters), headers=headers) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST_ANSWER:
                    raise ValueError("too large")
        return body


def _range(question: _Question) -> dict[str, str]:
    return {
        "eventsSinceNumber": str(question.first),
        "eventsUntilNumber": str(question.last),
        "content": "full-resource",
    }


def _numbers(wanted: fhir.Wanted) -> list[Notification]:
    """The events by which a resource was announced: it is here as it is now, with all that came before."""
    return [Notification("query-event", subscription, numbers=(number,)) for subscription, number in wanted.numbers]
