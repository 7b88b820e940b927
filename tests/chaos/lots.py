"""`make chaos`: lots of seeded faults, resumable; prints seeds, kinds and counts, and each failure with its command.

A lot that is finished is in `build/chaos` and is not run again; its counts are kept in `tests/chaos/finished`, with the commit
that it ran on, and `python -m tests.chaos.report` makes the page of them. Lots 1 to 10 strike one process at its points
(`cases.py`), lots 11 to 22 the processes of a running installation (`stack_lots.py`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.chaos.cases import Case, Result, drawn, possible, stages
from tests.chaos.kinds import KINDS
from tests.chaos.stories import STORIES
from tests.kit.files import ROOT

BUILD = ROOT / "build" / "chaos"
FINISHED = ROOT / "tests" / "chaos" / "finished"
"""Counts of finished lots, one file each: what was struck, how often, and how often the end was another."""
IN_PROCESS = range(1, 11)
ON_STACKS = range(11, 23)
STORIES_A_LOT = 3
CASES_A_STORY = 34
SEED = 13


def lots_of(text: str) -> list[int]:
    """`3,5-8` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def stories_of(lot: int) -> list[str]:
    """The stories of a lot: every story is in two of the ten."""
    names = list(STORIES)
    return [names[(STORIES_A_LOT * (lot - 1) + number) % len(names)] for number in range(STORIES_A_LOT)]


def run_lot(lot: int, seed: int, cases: int, begun: Path) -> list[dict[str, Any]]:
    """The cases of a lot, one after the other; those of an earlier run that was broken off are not run again."""
    rows: list[dict[str, Any]] = json.loads(begun.read_text()) if begun.exists() else []
    done = Counter(row["story"] for row in rows)
    for name in stories_of(lot):
        if done[name] >= cases:
            continue
        with stages([name]) as ready:
            stage = ready[name]
            for case in drawn(stage, sorted(KINDS), cases, seed * 1000 + lot)[done[name] :]:
                result = stage.run(case)
                rows.append(row_of(result))
                begun.write_text(json.dumps(rows))
                if result.wrong:
                    show(result)
    begun.unlink(missing_ok=True)
    return rows


def row_of(result: Result) -> dict[str, Any]:
    case = result.case
    operation, sort, _ = result.label.split("|", 2)
    return {
        "half": "process",
        "story": case.story,
        "kind": case.kind,
        "target": f"{operation}, {sort}",
        "command": case.command,
        "wrong": result.wrong,
        "died": result.died,
        "failed": len(result.failures),
        "seconds": round(result.seconds, 2),
    }


def show(result: Result) -> None:
    print(f"WRONG {result.case.kind} in {result.case.story} at {result.label}\n  {result.case.command}")
    for line in result.wrong:
        print(f"  {line}")
    for line in result.failures[:3]:
        print(f"  on the way: {line[:300]}")
    sys.stdout.flush()


def one_case(text: str) -> int:
    """A single case again, by the text that its failure printed."""
    story, kind, point, seed = text.split(":")
    case = Case(story.replace("_", " "), kind.replace("_", " "), int(point), int(seed))
    with stages([case.story]) as ready:
        result = ready[case.story].run(case)
    print(result.label)
    if result.wrong:
        show(result)
    else:
        print("as undisturbed;", "; ".join(result.failures[:5]))
    return bool(result.wrong)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--lots", default="1-22")
    parser.add_argument("--cases", type=int, default=CASES_A_STORY, help="of each story of a lot")
    parser.add_argument("--again", action="store_true", help="also lots that are finished")
    parser.add_argument("--case", help="story:kind:point:seed, as a failure prints it")
    asked = parser.parse_args(arguments)
    if asked.case:
        return one_case(asked.case)
    where = BUILD / f"seed-{asked.seed}"
    where.mkdir(parents=True, exist_ok=True)
    missing = [kind.name for kind in KINDS.values() if not possible(kind)]
    if missing:
        print(f"not possible for this user, left out: {', '.join(missing)}")
    for lot in lots_of(asked.lots):
        path = where / f"lot-{lot:02d}.json"
        if path.exists() and not asked.again:
            print(f"lot {lot}: finished before")
            continue
        began = time.monotonic()
        if lot in ON_STACKS:
            from tests.chaos.stack_lots import run_stack_lot

            rows = run_stack_lot(lot, asked.seed)
        else:
            rows = run_lot(lot, asked.seed, asked.cases, where / f"begun-{lot:02d}.json")
        path.write_text(json.dumps(rows, indent=1))
        keep(lot, asked.seed, rows)
        summary(lot, asked.seed, rows, time.monotonic() - began)
    return total(where)


def summary(lot: int, seed: int, rows: list[dict[str, Any]], seconds: float) -> None:
    kinds = Counter(row["kind"] for row in rows)
    print(f"lot {lot}, seed {seed}: {len(rows)} faults of {len(kinds)} kinds, {seconds:.0f} s")
    print("  " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    sys.stdout.flush()


def keep(lot: int, seed: int, rows: list[dict[str, Any]]) -> None:
    """Add the counts of a finished lot to the tree."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=9", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    counts = {by: counted(rows, by) for by in ("kind", "target")}
    FINISHED.mkdir(exist_ok=True)
    kept = {"lots": str(lot), "seed": seed, "code": commit.stdout.strip(), **counts}
    (FINISHED / f"seed-{seed}-lot-{lot:02d}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def counted(rows: list[dict[str, Any]], by: str) -> dict[str, list[int]]:
    """For each kind or target: faults in process, on stacks, and ends other than undisturbed."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        counts[row[by]][0 if row["half"] == "process" else 1] += 1
        counts[row[by]][2] += bool(row["wrong"])
    return dict(counts)


def finished(where: Path) -> list[dict[str, Any]]:
    """Every fault of the finished lots."""
    return [row for path in sorted(where.glob("lot-*.json")) for row in json.loads(path.read_text())]


def total(where: Path) -> int:
    rows = finished(where)
    wrong = [row for row in rows if row["wrong"]]
    kinds = {row["kind"] for row in rows}
    print(f"{len(rows)} faults of {len(kinds)} kinds in all; {len(wrong)} with another end than undisturbed")
    for row in wrong:
        print(f"  {row['command']}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
