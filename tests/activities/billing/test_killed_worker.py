"""A worker that is killed by the operating system while it sends a claim: the next one finishes, once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.claims import LATER, encounter_of, files, send, sent
from tests.kit.files import ROOT, SITE_FILE
from tests.kit.recorder import Recorder, recorder

WORKER = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from activities.billing import transmit
from activities.claim import ClaimActivities
from activities.decisions import DecisionService
from store.config import ConfigCache
from store.engine import Database
from store.unit import Store
from store.keys import read_keyring
from workflows.messages import ClaimMoment

url, directory, site, encounter, now, when = sys.argv[1:]
write = transmit.write_once

def killed(*given):
    if when == "after the file":
        write(*given)
    os.kill(os.getpid(), signal.SIGKILL)

transmit.write_once = killed
home = Path(directory)
db = Database(url)
service = DecisionService(Store(db, read_keyring(home / "keys.json"), ConfigCache("current", None, Path(site))))
moment = ClaimMoment(encounter=encounter, letter="C", ordinal=1, now=datetime.fromisoformat(now))
ClaimActivities(service, home / "outbox").transmit_claim(moment)
"""


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


@pytest.mark.parametrize("when", ["before the file", "after the file"])
async def test_killed_while_it_sends_the_claim_goes_out_once_under_one_number(
    r: Recorder, tmp_path: Path, when: str
) -> None:
    encounter = await encounter_of(r)
    words = [r.service.db.url, str(tmp_path), str(SITE_FILE), encounter, LATER.isoformat(), when]
    asked = [sys.executable, "-c", WORKER, *words]
    done = subprocess.run(asked, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [(row.interchange, row.written_at) for row in sent(r)] == [(1, None)]
    before = [(path, path.read_bytes()) for path in files(r)]
    assert len(before) == (when == "after the file")
    assert send(r, encounter).state == "transmitted"
    (path,) = files(r)
    assert not before or before == [(path, path.read_bytes())]
    assert [(row.interchange, row.written_at is not None) for row in sent(r)] == [(1, True)]
