"""Installations of earlier releases, kept as files: `python -m tests.kit.earlier 0.1.0` makes them with that release's own code.

Its gateway and worker take feeds in over HTTP until each encounter is in another stage; claims are sent and answered, alerts
acknowledged, messages quarantined. What is kept: the SQLite file, a plain SQL dump of PostgreSQL, key file and site file of each
(synthetic patients only), and the events that had not come yet.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.tools.scenario_expectations import scenarios
from intake.scenario_feeds import expand
from tests.kit.files import ROOT, SAMPLES
from tests.kit.fleet import Fleet
from tests.kit.postgres import QUICK, Server, postgres_server
from tests.kit.releases import Release, release
from tests.kit.waiting import eventually

KEPT = ROOT / "tests" / "fixtures" / "releases"
SHARES = {"a": (0.12, 0.35, 0.75, 1.0, 1.0, 1.0), "b": (1.0,), "c": (0.5, 1.0), "d": (0.4,), "e": (0.6,), "f": (0.7,)}
"""By scenario: the share of the events that had come, for each of its encounters."""
ANSWERS = {"a-3": "accepted.277ca", "a-4": "paid.835", "a-5": "denied.835", "c-1": "rejected.277ca"}
"""What the payer answered to claim C (or A) of an encounter."""
Event = dict[str, Any]


@dataclass(frozen=True)
class Earlier:
    """A kept installation.

    Attributes:
        files: the directory of its files.
        sent: the events of each encounter that had come, by order number.
        rest: those that had not.
    """

    files: Path
    sent: dict[str, list[Event]]
    rest: dict[str, list[Event]]

    def into_sqlite(self, directory: Path) -> str:
        """Put the SQLite file into a data directory; returns its URL."""
        path = directory / "encounters.db"
        path.write_bytes(gzip.decompress((self.files / "encounters.db.gz").read_bytes()))
        self._keys("sqlite", directory)
        return f"sqlite:///{path}"

    def into_postgres(self, server: Server, name: str, directory: Path) -> str:
        """Load the dump into a new database of a server, with the key file in a data directory; returns its URL."""
        url = server.create(name)
        dump = server.home / f"{name}.sql"
        dump.write_bytes(gzip.decompress((self.files / "cart.sql.gz").read_bytes()))
        server.own(dump)
        server.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, server.address(name))
        self._keys("postgresql", directory)
        return url

    def site(self, directory: Path) -> Path:
        """Put its site file into a directory."""
        path = directory / "kept-site.toml"
        path.write_bytes(gzip.decompress((self.files / "site.toml.gz").read_bytes()))
        return path

    def _keys(self, engine: str, directory: Path) -> None:
        (directory / "keys.json").write_bytes((self.files / f"keys.{engine}.json").read_bytes())
        (directory / "keys.json").chmod(0o600)


def earlier(name: str) -> Earlier:
    """The kept installation of a release."""
    files = KEPT / name
    events = json.loads(gzip.decompress((files / "events.json.gz").read_bytes()))
    return Earlier(files, events["sent"], events["rest"])


def feeds() -> tuple[dict[str, list[Event]], dict[str, list[Event]]]:
    """The events of each encounter up to its share, and those after it."""
    from tests.stack.harness import ANCHOR

    sent: dict[str, list[Event]] = {}
    rest: dict[str, list[Event]] = {}
    for scenario in scenarios():
        letter = scenario.feed.name[0]
        for number, share in enumerate(SHARES[letter]):
            events = list(expand(scenario.feed, ANCHOR, suffix=f"-kept-{letter}-{number}"))
            subject = next(str(one["subject"]) for one in events if one["type"] == "cart.referral.received")
            cut = round(share * len(events))
            sent[subject], rest[subject] = events[:cut], events[cut:]
    return sent, rest


def fill(fleet: Fleet, sent: dict[str, list[Event]]) -> None:
    """What an installation goes through: events, strays, reading, answers of payers, acknowledged alerts."""
    for events in sent.values():
        answer = fleet.request("POST", "/v1/events", json=events)
        assert answer.status_code == 202, answer.text
    stray = next(iter(sent.values()))[-1]
    fleet.request("POST", "/v1/events", json=stray | {"id": "stray-1", "subject": "ORDER-NOWHERE"})
    fleet.request("POST", "/v1/events", json=stray | {"id": "wrong-1", "data": {"nothing": 1}})
    fleet.request("POST", "/v1/events", json=stray | {"time": "2026-09-01T00:00:00Z"})
    for subject in sent:
        eventually(lambda one=subject: fleet.get(f"/v1/encounters/{one}")["up_to_date"], subject, 600)  # type: ignore[misc]
    for subject in sent:
        key = subject.rsplit("kept-", 1)[-1]
        if kind := ANSWERS.get(key):
            _answer(fleet, subject, kind)
    for alert in fleet.get("/v1/alerts?state=open")["alerts"][:3]:
        fleet.request("POST", f"/v1/alerts/{alert['alert_id']}/acknowledge", json={"by": "coordinator", "note": "seen"})
    for path in ("encounters", "quarantine", "worklists/denied", "audit"):
        fleet.get(f"/v1/{path}")


def _answer(fleet: Fleet, subject: str, kind: str) -> None:
    def claim(*states: str) -> dict[str, Any] | None:
        claims = fleet.get(f"/v1/encounters/{subject}/claims")["claims"]
        return next((one for one in reversed(claims) if one["state"] in states), None)

    sent = eventually(lambda: claim("transmitted"), f"a claim of {subject} is sent", 300)
    text = (SAMPLES / f"{kind}.x12").read_text().replace("@CLAIM@", sent["control_number"])
    answer = fleet.request(
        "POST", "/v1/replies", content=text.encode(), headers={"Content-Type": "application/edi-x12"}
    )
    assert answer.status_code < 300, answer.text
    expected = {"accepted.277ca": "accepted", "paid.835": "paid", "denied.835": "denied", "rejected.277ca": "rejected"}
    states = {expected[kind], "acknowledged", "partly_paid"} if kind != "rejected.277ca" else {"rejected"}
    eventually(lambda: claim(*states), f"a claim of {subject} is answered", 300)


def make(made_by: Release, files: Path) -> None:
    """Make the kept files of a release."""
    from tests.stack.rolling import installation, site_of

    files.mkdir(parents=True, exist_ok=True)
    sent, rest = feeds()
    (files / "events.json.gz").write_bytes(gzip.compress(json.dumps({"sent": sent, "rest": rest}).encode(), mtime=0))
    with tempfile.TemporaryDirectory() as name, postgres_server(QUICK) as server:
        work = Path(name)
        site = site_of(made_by, work)
        (files / "site.toml.gz").write_bytes(gzip.compress(site.read_bytes(), mtime=0))
        for engine in ("sqlite", "postgresql"):
            data = work / engine / "data"
            url = server.create("kept") if engine == "postgresql" else f"sqlite:///{data / 'encounters.db'}"
            with installation(work / engine, url, site) as fleet:
                fleet.prepare(made_by)
                fleet.start(made_by, 1)
                fill(fleet, sent)
                for member in list(fleet.members):
                    fleet.stop(member)
            (files / f"keys.{engine}.json").write_bytes((data / "keys.json").read_bytes())
        copy = sqlite3.connect(work / "encounters.db")
        with sqlite3.connect(work / "sqlite" / "data" / "encounters.db") as kept:
            kept.backup(copy)
        copy.execute("VACUUM")
        copy.close()
        (files / "encounters.db.gz").write_bytes(gzip.compress((work / "encounters.db").read_bytes(), mtime=0))
        dump = server.run("pg_dump", "--format=plain", "--no-owner", "--no-privileges", server.address("kept")).stdout
        # These two lines of newer `pg_dump` are commands of `psql`, with a random word.
        lines = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        (files / "cart.sql.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    make(release(sys.argv[1]), KEPT / sys.argv[1])
