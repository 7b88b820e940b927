"""Asking a FHIR server for the notifications that did not come: `$events` of the subscription, until all of them are here.

Subscriptions R5 Backport, https://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-events.html
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import structlog

from intake.fhir.notification import NotFhir, read_notification
from intake.fhir.notification_gaps import ASK_AFTER
from intake.fhir.receiver import FhirDoor
from intake.site_mapping import FhirFeed
from intake.site_mapping import SiteMapping as SiteMapping
from store.engine import Database
from store.feeds import subscriptions_to_ask
from store.keys import Keyring
from store.tables import FhirSubscription
from store.vault import audit

CHECK_SECONDS = 5.0
ANSWER_SECONDS = 15.0
LARGEST_ANSWER = 8 * 1024 * 1024
LONGEST_PAUSE = timedelta(hours=1)
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
        self._door = FhirDoor(db, keys, mapping)

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
        return len(questions)

    def _due(self) -> list[_Question]:
        with self._db.read() as session:
            rows = subscriptions_to_ask(session, self._clock())
        return [question for row in rows if row.missing and (question := self._question(row))]

    def _question(self, row: FhirSubscription) -> _Question | None:
        """None where the mapping names nobody to ask, or the sender named a subscription that is not of its server."""
        feed, found = self._mapping.fhir_feed(row.feed), _SUBSCRIPTION.search(row.reference)
        if feed is None or feed.ask_at is None or found is None:
            return None
        return _Question(row.subscription_key, feed, found.group(1), row.missing[0], row.missing[-1])

    async def _asked(self, question: _Question) -> str:
        """Ask, take in what is answered; returns the outcome in a word."""
        try:
            body = await _fetch(question)
            notification = read_notification(json.loads(body))
        except httpx.HTTPStatusError as error:
            return f"refused {error.response.status_code}"
        except (httpx.HTTPError, OSError) as error:
            return f"unreachable {type(error).__name__}"
        except (NotFhir, ValueError, RecursionError):
            return "unreadable"
        await asyncio.to_thread(self._door.take, question.feed, notification, self._clock(), None)
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


async def _fetch(question: _Question) -> bytes:
    headers = {"Accept": "application/fhir+json"}
    if question.feed.token_file:
        token = await asyncio.to_thread(Path(question.feed.token_file).read_text)
        headers["Authorization"] = f"Bearer {token.strip()}"
    wanted = {
        "eventsSinceNumber": str(question.first),
        "eventsUntilNumber": str(question.last),
        "content": "full-resource",
    }
    url = f"{str(question.feed.ask_at).rstrip('/')}/{question.reference}/$events"
    body = b""
    async with (
        httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False) as client,
        client.stream("GET", url, params=wanted, headers=headers) as answer,
    ):
        answer.raise_for_status()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise ValueError("too large")
    return body
