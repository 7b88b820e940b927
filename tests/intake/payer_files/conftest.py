"""A store, a directory of payer files, and one claim that was sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from domain.billing.submission.responses import responses_of
from domain.encounter.facts import fold
from domain.site import Site, parse_site
from intake.inbox.receive import receive
from intake.payer_files.directory import ReplyDirectory
from store.engine import Database
from store.facts import load_facts
from store.keys import Keyring
from store.tables import AlertRecord, ClaimVersion, Transmission
from tests.kit import events as e
from tests.kit.files import SAMPLES, SITE_FILE

CLAIM = "CE0000000042"


@dataclass
class Post:
    """A store, an inbox directory, and one claim that was sent."""

    db: Database
    keys: Keyring
    directory: Path
    encounter: str
    site: Site

    def drop(self, sample: str, name: str = "", claim: str = CLAIM, interchange: int = 7) -> Path:
        text = (SAMPLES / sample).read_text().replace("@CLAIM@", claim).replace("@INTERCHANGE@", str(interchange))
        return self.put(name or sample, text)

    def put(self, name: str, text: str) -> Path:
        self.directory.mkdir(exist_ok=True)
        path = self.directory / name
        path.write_text(text)
        return path

    def sweep(self, patience: timedelta = timedelta(0)) -> int:
        clock = lambda: datetime.now(UTC) + timedelta(seconds=1)  # noqa: E731 files are a moment old
        return ReplyDirectory(self.db, self.keys, self.directory, lambda: self.site, clock, patience).sweep()

    def answers(self) -> list[tuple[str, bool, str]]:
        own, _ = load_facts(self.db, self.keys, self.encounter, 10_000)
        return [(reply.kind, reply.accepted, reply.status) for reply in responses_of(fold(own))]

    def reasons(self) -> list[str]:
        records = sorted((self.directory / "quarantine").glob("*.json"))
        return [json.loads(record.read_text())["reason"] for record in records]

    def alerts(self) -> list[str]:
        with self.db.read() as session:
            return list(session.exec(select(AlertRecord.kind)))

    def sample(self, name: str) -> str:
        return (SAMPLES / name).read_text()

    def add_claim(self, control: str = CLAIM, version: int = 1, interchange: int = 7) -> None:
        claim = ClaimVersion(
            encounter_id=self.encounter,
            letter="C",
            ordinal=1,
            version=version,
            content_hash="h",
            state="transmitted",
            form="UB-04",
            payer="medicare",
            total=1000,
            document={},
            sequence=1,
            rulebook_digest="d",
            edition="current",
            built_at=e.NOW,
            control_number=control,
        )
        sent = Transmission(
            encounter_id=self.encounter,
            letter="C",
            ordinal=1,
            version=version,
            control_number=control,
            mode="shadow",
            receiver_id="EXMACJK",
            interchange=interchange,
            payer="medicare",
            created_at=e.NOW,
        )
        with self.db.write() as session:
            session.add(claim)
            session.add(sent)


@pytest.fixture
def post(store: tuple[Database, Keyring], tmp_path: Path) -> Post:
    db, keys = store
    receipt = receive(db, keys, e.referral(), e.NOW, "tests")
    assert receipt.encounter_id
    return Post(db, keys, tmp_path / "inbox", receipt.encounter_id, parse_site(SITE_FILE.read_text()))
