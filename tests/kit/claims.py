"""Sending the claims of one decided encounter, and what was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlmodel import select

from store.outbox_index import INDEX, LOCK
from store.tables import Transmission
from tests.kit.recorder import NOW, Recorder, feed
from workflows.messages import ClaimFollowUp, ClaimMoment

LATER = NOW + timedelta(days=5)
"""After the bill hold."""


async def encounter_of(r: Recorder) -> str:
    """The encounter of scenario A, decided: three claims are emitted."""
    return await r.decided(feed("a_mcl_medicare_inpatient"))


def send(r: Recorder, encounter: str, letter: str = "C", now: datetime = LATER) -> ClaimFollowUp:
    moment = ClaimMoment(encounter=encounter, letter=letter, ordinal=1, now=now)
    return r.activities.claim_life.transmit_claim(moment)


def sent(r: Recorder) -> list[Transmission]:
    with r.service.db.read() as session:
        return list(session.exec(select(Transmission).order_by(Transmission.interchange)))


def files(r: Recorder) -> list[Path]:
    """The files in the outbox, drafts among them, without its index."""
    found = (path for path in r.activities.claim_life.outbox.rglob("*") if path.is_file())
    return sorted(path for path in found if path.name not in (INDEX, LOCK))
