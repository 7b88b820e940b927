"""A sender to one database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from intake.inbox.receive import ReceiptResult, receive
from store.engine import Database
from store.facts import load_facts
from store.keys import Keyring
from tests.kit import events as e

LAST = 10_000


class Post:
    """A sender to one database."""

    def __init__(self, db: Database, keys: Keyring) -> None:
        self.db, self.keys = db, keys

    def __call__(self, event: dict[str, Any]) -> ReceiptResult:
        return receive(self.db, self.keys, event, e.NOW, "tests")

    def types(self, encounter: str) -> list[str]:
        own, _ = load_facts(self.db, self.keys, encounter, LAST)
        return [fact.type for fact in own]

    def count(self, table: Any) -> int:
        with self.db.read() as session:
            return len(session.exec(select(table)).all())


@pytest.fixture
def post(db: Database, keys: Keyring) -> Post:
    return Post(db, keys)
