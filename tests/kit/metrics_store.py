"""A store with one of everything, for the tests of the metrics: written straight into the tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.custody.ledger import GENESIS, entry_hash, link_hash
from domain.site import Site, parse_site
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring, create_keyring
from store.tables import (
    AlertRecord,
    CertificationRow,
    ClaimVersion,
    CustodyIndex,
    CustodyRecord,
    Encounter,
    EncounterEvent,
    Inbox,
    InboxConflict,
    Quarantine,
)
from tests.kit.databases import migrated_database
from tests.kit.files import SITE_FILE

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MRN, NAME, NPI = "MRN-778899", "ROSALIND", "1234560211"


class World:
    """The store of a test, and short ways to put rows into it."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.keys: Keyring = create_keyring(directory / "keys.json")
        if url:
            self.db = Database(url)
            self.db.migrate()
        else:
            self.db = migrated_database(directory / "encounters.db")
        self.site_file = directory / "site.toml"
        self.site_file.write_text(SITE_FILE.read_text())
        self.config = ConfigCache("current", None, self.site_file)
        self._number = 0
        self.entries: list[str] = []

    def site(self) -> Site:
        return parse_site(self.site_file.read_text())

    def next(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}_{self._number:06d}"

    def add(self, *rows: Any) -> None:
        with self.db.write() as session:
            for row in rows:
                session.add(row)
                session.flush()

    def encounter(self, **values: Any) -> str:
        name = self.next("enc")
        defaults: dict[str, Any] = {
            "created_at": NOW - timedelta(days=3),
            "stage": "apheresis",
            "product": "tecartus",
            "payer_class": "commercial",
        }
        self.add(Encounter(encounter_id=name, **(defaults | values)))
        return name

    def event(
        self,
        encounter: str | None,
        kind: str,
        at: datetime,
        *,
        feed: str = "ehr",
        received: datetime | None = None,
        delivered: datetime | None = NOW,
        sequence: int | None = None,
    ) -> str:
        name = self.next("evt")
        self.add(
            Inbox(
                event_id=name,
                dedupe_key=name,
                body_hash="h",
                type=kind,
                feed=feed,
                subject_key="s",
                time=at,
                received_at=received or at,
                body=f"{MRN} {NAME}".encode(),
            )
        )
        if encounter:
            self.add(
                EncounterEvent(
                    encounter_id=encounter,
                    sequence=sequence or self._number,
                    event_id=name,
                    type=kind,
                    note_key=name,
                    delivered_at=delivered,
                )
            )
        return name

    def conflict(self, event: str) -> None:
        self.add(InboxConflict(conflict_id=self.next("cfl"), event_id=event, body_hash="g", received_at=NOW, body=b"x"))

    def quarantine(self, state: str, received: datetime) -> None:
        name = self.next("qua")
        self.add(
            Quarantine(
                quarantine_id=name,
                dedupe_key=name,
                body_hash="h",
                type="cart.charge.posted",
                feed="ehr",
                subject_key="s",
                reasons=["no encounter"],
                received_at=received,
                body=NAME.encode(),
                state=state,
            )
        )

    def alert(self, encounter: str | None, kind: str, **values: Any) -> None:
        name = self.next("alr")
        defaults: dict[str, Any] = {
            "severity": "critical",
            "owner": "cell_lab",
            "title": "t",
            "action": "a",
            "citation": "c",
            "rule": "r",
            "since": NOW - timedelta(hours=2),
            "opened_at": NOW - timedelta(hours=2),
            "acknowledge_by": NOW + timedelta(hours=2),
        }
        self.add(AlertRecord(alert_id=name, encounter_id=encounter, key=name, kind=kind, **(defaults | values)))

    def claim(self, encounter: str, letter: str, version: int = 1, **values: Any) -> None:
        state = values.pop("state", "emitted")
        defaults: dict[str, Any] = {
            "content_hash": "h",
            "state": state,
            "form": "UB-04",
            "payer": "medicare",
            "total": Decimal("100.00"),
            "document": {"statement_through": "2026-05-20", "edits": [], "diagnoses": []},
            "sequence": 1,
            "rulebook_digest": "d",
            "edition": "current",
            "built_at": NOW - timedelta(days=2),
            "emitted_at": NOW - timedelta(days=2) if state == "emitted" else None,
            "control_number": self.next("CE") if state == "emitted" else None,
        }
        self.add(ClaimVersion(encounter_id=encounter, letter=letter, ordinal=1, version=version, **(defaults | values)))

    def chain(self, encounter: str, length: int, *, broken: bool = False) -> None:
        previous = GENESIS
        for position in range(1, length + 1):
            link = CustodyRecord(
                encounter_id=encounter,
                position=position,
                key=f"k{position}",
                kind="record",
                occurred=NOW,
                content=f'{{"step":{position}}}',
                previous_hash=previous,
                hash="",
                recorded_at=NOW,
            )
            link.hash = previous = link_hash(link)
            if broken and position == length:
                link.content = '{"step":"edited"}'
            self.add(link)
        self.index(encounter, length, previous)

    def index(self, encounter: str, length: int, head: str) -> None:
        """Enter a chain into the index."""
        entry = CustodyIndex(
            position=len(self.entries) + 1,
            encounter_id=encounter,
            length=length,
            head=head,
            recorded_at=NOW,
            previous_hash=self.entries[-1] if self.entries else GENESIS,
            hash="",
        )
        entry.hash = entry_hash(entry)
        self.entries.append(entry.hash)
        self.add(entry)

    def certificate(self, holder: str, layer: str, product: str | None, valid_to: date | None, **values: Any) -> None:
        event = self.event(None, "cart.certification.changed", NOW - timedelta(days=1))
        defaults: dict[str, Any] = {"status": "active", "time": NOW - timedelta(days=1)}
        self.add(
            CertificationRow(
                event_id=event,
                layer=layer,
                product=product,
                holder_key=self.keys.digest("holder", holder),
                valid_from=date(2025, 1, 1),
                valid_to=valid_to,
                **(defaults | values),
            )
        )


def furnish(world: World) -> None:
    """One of everything that a dashboard shows."""
    steps = (("referral", 60), ("apheresis", 25), ("release", 10), ("infusion", 7))
    passed = [{"name": n, "at": (NOW - timedelta(days=d)).isoformat(), "planned": False} for n, d in steps]
    holds = [
        {"kind": "readiness", "owner": "coordinator", "scope": "encounter", "override": None},
        {"kind": "eligibility", "owner": "coordinator", "scope": "encounter", "override": {"role": "physician"}},
    ]
    waiting = [{"letter": "D", "total": "310.00", "through": "2026-05-28"}]
    name = world.encounter(
        holds_open=1,
        decided_sequence=1,
        next_due=NOW - timedelta(minutes=5),
        view={"milestones": passed, "holds": holds, "unbilled": waiting},
    )
    world.encounter(status="closed", stage="closed", view={"outcome": "completed"})
    world.event(name, "cart.apheresis.completed", NOW - timedelta(days=25), sequence=1)
    event = world.event(name, "cart.manufacturing.failed", NOW - timedelta(minutes=9), sequence=2)
    world.conflict(event)
    world.quarantine("waiting", NOW - timedelta(hours=1))
    world.chain(name, 3)
    world.alert(name, "certification_missing", acknowledge_by=NOW - timedelta(hours=1))
    edit = {"id": "edits.units", "severity": "error", "owner": "biller", "denial": 3}
    held = {"statement_through": "2026-05-20", "edits": [edit], "diagnoses": []}
    world.claim(name, "A", emitted_at=NOW - timedelta(days=3))
    world.claim(name, "B", state="held", document=held)
    coded = {"statement_through": "2026-05-20", "edits": [], "diagnoses": [{"code": "D89.832"}, {"code": "G92.01"}]}
    world.claim(name, "C", document=coded)
    world.certificate("st_mary", "fact", None, NOW.date() + timedelta(days=20))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
