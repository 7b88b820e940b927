"""Writing a claim file: whatever step a worker dies at, the next one finishes, and the file goes out once."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from store import outbox, outbox_index
from store.keys import Keyring
from store.outbox import write_once
from store.outbox_index import Entry, IndexedClaim, OutboxConflict, OutboxIndex, digest_of
from tests.kit import events as e

STEPS = frozenset({"open", "write", "fsync", "ftruncate", "rename", "close"})
TEXT = "ISA*the first file~\n"


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class DyingOs:
    """The module `os` whose nth step does not return: before its effect, after it, or half way through a write."""

    def __init__(self, dies_at: int, how: str) -> None:
        self.left, self.how, self.dead = dies_at, how, False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in STEPS else real

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            if self.dead:  # a descriptor that the end of the process closes
                return real(*given, **named)
            self.left -= 1
            if self.left:
                return real(*given, **named)
            self.dead = True
            if self.how == "after" or name == "close":  # the end of a process closes what it held
                real(*given, **named)
            elif self.how == "half" and name == "write":
                real(given[0], given[1][: len(given[1]) // 2])
            raise Killed

        return step


def entry(text: str = TEXT, number: int = 1, control: str = "CE0000000001") -> Entry:
    path = f"live/medicare/RECEIVER-{number:09d}.x12"
    claims = (IndexedClaim(control=control, place=1, encounter="enc_a", letter="C", ordinal=1, version=1),)
    return Entry(path, digest_of(text), "live", "RECEIVER", number, 0, e.NOW.isoformat(), claims)


def opened(directory: Path, keys: Keyring) -> OutboxIndex:
    """The index as a process that starts reads it."""
    index = OutboxIndex(directory, keys)
    index.begin(e.NOW)
    return index


@pytest.mark.parametrize("picked_up", [False, True], ids=["left there", "picked up"])
@pytest.mark.parametrize("how", ["before", "after", "half"])
def test_killed_at_any_step_the_file_goes_out_once(
    tmp_path: Path, keys: Keyring, monkeypatch: pytest.MonkeyPatch, how: str, picked_up: bool
) -> None:
    steps, finished = 0, False
    while not finished:
        steps += 1
        directory = tmp_path / str(steps)
        index = opened(directory, keys)
        path = directory / entry().path
        with monkeypatch.context() as patched:
            dying = DyingOs(steps, how)
            patched.setattr(outbox_index, "os", dying)
            patched.setattr(outbox, "os", dying)
            try:
                write_once(index, entry(), TEXT)
                finished = True
            except Killed:
                pass
        went_out = []
        if picked_up and path.exists():
            went_out.append(path.read_text())
            path.unlink()
        # Meanwhile the patient's address was corrected: the file that would be made now is another one.
        now = "ISA*the corrected file~\n"
        again = opened(directory, keys)
        known = write_once(again, entry(now), now)
        went_out += [found.read_text() for found in directory.rglob("*.x12")]
        assert len(went_out) == 1, steps
        assert digest_of(went_out[0]) == known.digest
        last = opened(directory, keys)
        assert (last.entries[entry().path], last.damaged) == (known, [])
        assert list(directory.rglob("*.draft")) == []
    assert steps > 12


def test_another_file_under_the_number_is_refused(tmp_path: Path, keys: Keyring) -> None:
    index = opened(tmp_path, keys)
    there = tmp_path / entry().path
    there.parent.mkdir(parents=True)
    there.write_text("ISA*of another claim~\n")
    with pytest.raises(OutboxConflict):
        write_once(index, entry(), TEXT)
    assert index.entries == {}
    there.write_text(TEXT)
    assert write_once(index, entry(), TEXT) == entry()
    with pytest.raises(OutboxConflict):
        write_once(index, entry(control="CE0000000002"), TEXT)


def test_many_workers_on_one_directory_append_whole_lines(tmp_path: Path, keys: Keyring) -> None:
    def write(number: int) -> None:
        one = entry(number=number % 20 + 1, control=f"CE{number % 20 + 1:010d}")
        write_once(opened(tmp_path, keys), one, TEXT)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(60)))
    index = opened(tmp_path, keys)
    assert sorted(one.interchange for one in index.entries.values()) == list(range(1, 21))
    assert index.damaged == []
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == 21


def test_a_line_of_another_installation_or_an_edited_one_shows(tmp_path: Path, keys: Keyring) -> None:
    index = opened(tmp_path, keys)
    write_once(index, entry(), TEXT)
    text = index.path.read_text()
    index.path.write_text(text.replace('"interchange":1', '"interchange":2'))
    assert opened(tmp_path, keys).damaged == [2]
    index.path.write_text(text)
    other = OutboxIndex(tmp_path, Keyring(keys.data_keys, bytes(32)))
    other.refresh()
    assert other.damaged == [1, 2]


def test_erasure_takes_the_marks_and_keeps_the_numbers(tmp_path: Path, keys: Keyring) -> None:
    index = opened(tmp_path, keys)
    claim = IndexedClaim("CE0000000001", 1, encounter="enc_a", member="m", person="p", exact="x", bill="b", insured="i")
    marked = Entry(entry().path, digest_of(TEXT), "live", "RECEIVER", 1, 0, e.NOW.isoformat(), (claim,))
    index.add([marked])
    reader = opened(tmp_path, keys)
    index.forget({"enc_a"})
    reader.refresh()
    for each in (index, reader, opened(tmp_path, keys)):
        [left] = each.entries[marked.path].claims
        assert (left.control, left.encounter) == ("CE0000000001", "enc_a")
        assert {left.member, left.person, left.exact, left.bill, left.insured} == {None}
        assert each.damaged == []
