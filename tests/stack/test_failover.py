"""PostgreSQL set back under an installation, by each way of docs/operations.md: every claim is at its payer once.

A dump is restored, a base backup recovered to a point in time, a standby that lagged promoted; each on real servers. What
the database forgot was sent already: its files are in the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from domain.billing.x12.claim_files import read_claim_file
from store.reconcile import look, settle
from store.tables import AlertRecord, Encounter
from tests.kit.claims import LATER, files, send
from tests.kit.postgres import QUICK, Server, started
from tests.kit.recorder import NOW, Recorder, feed, recorder

Event = dict[str, Any]
FIRST, SECOND = "a_mcl_medicare_inpatient", "c_mcl_outpatient_crs"
LETTERS = {FIRST: "ABC", SECOND: "ABCD"}
pytestmark = pytest.mark.postgres


class Way:
    """A way in which a database comes back as it was at a moment.

    Attributes:
        url: of the database that the installation uses.
        moment: called at that moment.
        comes_back: called when all is lost; returns the URL of what came back.
    """

    def __init__(self, url: str, moment: Callable[[], None], comes_back: Callable[[], str]) -> None:
        self.url, self.moment, self.comes_back = url, moment, comes_back


@contextmanager
def dump() -> Iterator[Way]:
    """`pg_dump`, restored into an empty database."""
    server = started(QUICK)
    try:
        url, file = server.create("cart"), server.home / "cart.dump"

        def moment() -> None:
            server.run("pg_dump", "--format=custom", f"--file={file}", server.address("cart"))

        def comes_back() -> str:
            restored = server.create("cart_restored")
            server.run("pg_restore", "--exit-on-error", f"--dbname={server.address('cart_restored')}", file)
            return restored

        yield Way(url, moment, comes_back)
    finally:
        server.close()


@contextmanager
def point_in_time() -> Iterator[Way]:
    """A base backup and the archive of the log, recovered to a restore point."""
    with ExitStack() as servers:
        server = Server(QUICK)
        servers.callback(server.close)
        archive = server.home / "archive"
        archive.mkdir()
        server.own(archive)
        server.start(archive_mode="on", archive_command=f"'cp %p {archive}/%f'")
        url = server.create("cart")
        base = Server(QUICK, copy_of=server)
        servers.callback(base.close)

        def moment() -> None:
            server.execute("SELECT pg_create_restore_point('before')")

        def comes_back() -> str:
            server.execute("SELECT pg_switch_wal()")
            server.stop()
            return base.recovers_from(archive, "before").url("cart")

        yield Way(url, moment, comes_back)


@contextmanager
def lagging_standby() -> Iterator[Way]:
    """Failover to a standby that did not receive the last transactions."""
    with ExitStack() as servers:
        server = started(QUICK)
        servers.callback(server.close)
        url = server.create("cart")
        standby = Server(QUICK, copy_of=server, follows=True).start()
        servers.callback(standby.close)

        def moment() -> None:
            standby.replays_to(server.written())
            standby.cut_off()

        def comes_back() -> str:
            server.kill()
            standby.promote()
            return standby.url("cart")

        yield Way(url, moment, comes_back)


async def arrived(r: Recorder, name: str) -> str:
    """Every event of a patient arrives, also what arrived before, and is decided on; the encounter."""
    return await r.decided(feed(name))


def sends(r: Recorder, encounter: str, letters: str, days: int = 0) -> set[str]:
    """Try to send claims; their states."""
    return {send(r, encounter, letter, LATER + timedelta(days=days)).state for letter in letters}


def at_the_payer(r: Recorder) -> Counter[tuple[str, str, str]]:
    """What the payer has: each claim without our numbers, and how often."""
    claims = [claim for path in files(r) for claim in read_claim_file(path.read_text()).claims]
    return Counter((claim.member_id, claim.form.value, claim.exact) for claim in claims)


def numbers(r: Recorder) -> list[str]:
    return [claim.control for path in files(r) for claim in read_claim_file(path.read_text()).claims]


@pytest.mark.parametrize("way", [dump, point_in_time, lagging_standby])
async def test_what_was_forgotten_is_found_and_every_claim_is_at_its_payer_once(
    tmp_path: Path, way: Callable[[], Any]
) -> None:
    (tmp_path / "undisturbed").mkdir()
    async with recorder(tmp_path / "undisturbed") as r:
        for name in (FIRST, SECOND):
            assert sends(r, await arrived(r, name), LETTERS[name]) == {"transmitted"}
        undisturbed = at_the_payer(r)
    with way() as database:
        async with recorder(tmp_path, database.url) as r:
            first = await arrived(r, FIRST)
            assert sends(r, first, "A") == {"transmitted"}
            database.moment()
            # What follows is forgotten: two claims sent, and another patient with claims sent.
            assert sends(r, first, "BC") == {"transmitted"}
            second = await arrived(r, SECOND)
            assert sends(r, second, "AB") == {"transmitted"}
            before = {path: path.read_bytes() for path in files(r)}
        url = database.comes_back()
        async with recorder(tmp_path, url) as r:
            db, keys, outbox = r.service.db, r.service.store.keys, r.activities.claim_life.outbox
            with db.read() as session:
                assert session.get(Encounter, second) is None, "the database forgot the second patient"
            assert "transmitted" not in sends(r, first, "BC", days=1)
            assert {path: path.read_bytes() for path in files(r)} == before, "nothing is sent before it is settled"
            findings, _ = look(db, keys, outbox, LATER)
            assert findings
            with db.read() as session:
                kinds = set(session.exec(select(AlertRecord.kind).where(AlertRecord.state == "open")))
            assert "sending_held" in kinds

            settle(db, keys, outbox, "database administrator", LATER, new_epoch=True)
            assert look(db, keys, outbox, LATER)[0] == []
            again = {name: await arrived(r, name) for name in (FIRST, SECOND)}
            assert again[FIRST] == first
            for name, encounter in again.items():
                assert sends(r, encounter, LETTERS[name], days=2) == {"transmitted"}
            assert at_the_payer(r) == undisturbed
            assert len(numbers(r)) == len(set(numbers(r))), "no number is used twice"
            assert {path: path.read_bytes() for path in files(r) if path in before} == before
            with db.read() as session:
                kinds = set(session.exec(select(AlertRecord.kind).where(AlertRecord.state == "open")))
            assert "sending_held" not in kinds
    assert NOW < LATER
