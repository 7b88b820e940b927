"""The stories of the paths as CloudEvents of a run, and the names of their recorded histories."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from domain.encounter.facts import Fact
from tests.kit.stories import Story

Event = dict[str, Any]


DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})(?=T|\")")


IDENTIFIER = re.compile(r"\b(COI|DIN|BAG|MRN|ADM|APT|CHG|KTA|AUTH)(-?\w[\w-]*)")


HISTORY = "path_"


def slug(path: str) -> str:
    return re.sub(r"\W+", "_", path).strip("_")


def events_of(story: Story, look: int, run: str) -> list[Event]:
    """The story as CloudEvents: its last day is yesterday, and its identifiers are of this run."""
    shift = datetime.now(UTC).date() - timedelta(days=1) - (story.day0 + timedelta(days=look))
    return [json.loads(_moved(json.dumps(_event(fact, run)), shift, run)) for fact in story.facts]


def _event(fact: Fact[Any], run: str) -> Event:
    return {
        "specversion": "1.0",
        "id": fact.id,
        "source": f"urn:path:{run}",
        "type": fact.type,
        "subject": f"ORDER-{run}",
        "time": fact.time.isoformat(),
        "data": fact.data.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _moved(text: str, shift: timedelta, run: str) -> str:
    moved = DATE.sub(lambda found: (date.fromisoformat(found[0]) + shift).isoformat(), text)
    return IDENTIFIER.sub(lambda found: f"{found[0]}-{run}", moved).replace('"urn:test"', f'"urn:path:{run}"')
