"""One fault at one point of one story, in a process of its own, and what came of it.

The part of a story before the faults runs once; every case continues from a copy of it, so that a story of weeks costs a
second.
"""

from __future__ import annotations

import gc
import os
import pickle
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from store.keys import create_keyring
from tests.chaos.kinds import KINDS, Kind, mount, unmount
from tests.chaos.outcome import differences
from tests.chaos.product import TOKEN, config_of
from tests.chaos.stories import STORIES, Story, is_paid, sent, site_file
from tests.chaos.world import World, new_world
from tests.kit.databases import sqlite_template

BEGIN = datetime(2026, 1, 2, 12, tzinfo=UTC)
MEMORY = Path("/dev/shm")
SIZE = b"size=24m"


@dataclass(frozen=True)
class Case:
    """A fault: story, kind and point, and a number that decides its details."""

    story: str
    kind: str
    point: int
    seed: int

    @property
    def command(self) -> str:
        return (
            f"python -m tests.chaos.lots --case {self.story.replace(' ', '_')}:{self.kind.replace(' ', '_')}:{self.point}"
            f":{self.seed}"
        )


@dataclass
class Result:
    """What came of a case."""

    case: Case
    label: str
    wrong: list[str] = field(default_factory=list)
    tries: int = 0
    died: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Undisturbed:
    """A story that ran as it should: its points and its end."""

    labels: list[str]
    end: dict[str, Any]
    tries: int


@cache
def may_mount() -> bool:
    """Whether this user may mount, which full disks and read-only directories need."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            mount(b"tmpfs", directory.encode(), b"tmpfs", 0, SIZE)
        except OSError:
            return False
        unmount(directory)
    return True


def possible(kind: Kind) -> bool:
    return may_mount() or not kind.root


def prepared(home: Path) -> None:
    """A new installation's directory."""
    home.mkdir(parents=True)
    shutil.copy(sqlite_template(), home / "encounters.db")
    create_keyring(home / "keys.json")
    (home / "token").write_text(TOKEN)


@cache
def warmed() -> bool:
    """One billed story in this process: rulebook, maps and modules are loaded once, not in every case."""
    with tempfile.TemporaryDirectory() as directory:
        prepared(Path(directory) / "warm")
        world = new_world(Path(directory) / "warm", site_file(Path(directory), 0), BEGIN)
        world.here = True
        world.open()
        sent(world)
        is_paid(world)
        world.close()
    gc.collect()
    gc.freeze()
    return True


class Stage:
    """A story at the point where its faults begin."""

    def __init__(self, story: Story, directory: Path) -> None:
        self.story, self.directory = story, directory
        self.home = directory / "before"
        warmed()
        prepared(self.home)
        site = site_file(directory, story.batch)
        config_of(site)
        self.world = new_world(self.home, site, BEGIN)
        self.world.open()
        try:
            story.before(self.world)
        finally:
            self.world.close()
        self.undisturbed: Undisturbed = self._apart(self._undisturbed)

    def _undisturbed(self) -> Undisturbed:
        with self._copied() as world:
            world.arm = {"kind": "killed", "point": -1}
            world.open()
            self.story.body(world)
            world.finish()
            labels = world.until_done("points")
            return Undisturbed(labels, world.outcome(), world.tries)

    def run(self, case: Case) -> Result:
        """The case, in a process of its own; what it leaves ends with it."""
        result: Result = self._apart(lambda: self._disturbed(case))
        return result

    def _disturbed(self, case: Case) -> Result:
        began = time.monotonic()
        result = Result(case, self.undisturbed.labels[case.point])
        chance = random.Random(case.seed)
        with self._copied(own_disk=KINDS[case.kind].root) as world:
            world.arm = {
                "kind": case.kind,
                "point": case.point,
                "hours": chance.choice([-1, 1]) * chance.randint(1, 30),
            }
            try:
                world.open()
                self.story.body(world)
                world.finish()
                result.wrong = differences(self.undisturbed.end, world.outcome())
            except Exception as error:  # noqa: BLE001 it is the result
                last = traceback.extract_tb(error.__traceback__)[-1]
                result.wrong = [f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"]
            result.tries, result.died, result.failures = world.tries, world.died, world.failures[:8]
            result.seconds = time.monotonic() - began
        return result

    @contextmanager
    def _copied(self, *, own_disk: bool = False) -> Iterator[World]:
        home = Path(tempfile.mkdtemp(prefix="case-", dir=self.directory))
        if own_disk:
            mount(b"tmpfs", bytes(home), b"tmpfs", 0, SIZE)
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        world = self.world
        world.home = home
        world.tries = world.died = 0
        world.failures.clear()
        try:
            yield world
        finally:
            world.close()
            if own_disk:
                for path in (home / "outbox", home / "inbox", home):
                    try:
                        unmount(str(path))
                    except OSError:
                        continue
            shutil.rmtree(home, ignore_errors=True)

    def _apart(self, work: Any) -> Any:
        """Do it in a forked process: the state of the world before it stays as it is."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            answer: Any = None
            try:
                answer = work()
            except BaseException:  # noqa: BLE001 shown by the parent
                answer = RuntimeError(traceback.format_exc())
            with os.fdopen(writing, "wb") as out:
                pickle.dump(answer, out)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as source:
            body = source.read()
        os.waitpid(child, 0)
        if not body:
            raise RuntimeError("the process of the case died")
        answer = pickle.loads(body)
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def stages(names: list[str]) -> Iterator[dict[str, Stage]]:
    """Stories ready to be disturbed."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="cart-faults-", dir=where) as directory:
        yield {name: Stage(STORIES[name], Path(directory) / name.replace(" ", "-")) for name in names}


def drawn(stage: Stage, kinds: list[str], count: int, seed: int) -> list[Case]:
    """So many cases of a story: kinds in turn, points by chance, each sort of point of each operation as likely."""
    chance = random.Random(f"{seed} {stage.story.name}")
    labels = stage.undisturbed.labels
    by_kind: dict[str, dict[str, list[int]]] = {}
    for name in kinds:
        if not possible(KINDS[name]):
            continue
        for point, label in enumerate(labels):
            if KINDS[name].fits(label):
                by_kind.setdefault(name, {}).setdefault(label.rsplit("|", 1)[0], []).append(point)
    cases = []
    order = sorted(by_kind)
    chance.shuffle(order)
    for number in range(count):
        kind = order[number % len(order)]
        groups = by_kind[kind]
        point = chance.choice(groups[chance.choice(sorted(groups))])
        cases.append(Case(stage.story.name, kind, point, chance.randrange(10**6)))
    return cases
