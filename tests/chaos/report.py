"""docs/reliability.md: what was run, on what, and what came of it; made from the finished lots of a seed."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from typing import Any

from tests.chaos.kinds import KINDS
from tests.chaos.lots import FINISHED, SEED
from tests.chaos.stack_kinds import STACK_KINDS
from tests.kit.files import DOCS, ROOT

FOUND = ROOT / "tests" / "chaos" / "found.md"
HEAD = """# Reliability: faults on purpose

`make chaos` strikes the product with seeded faults and compares the end with the undisturbed run. This page is made from the
finished lots by `python -m tests.chaos.report`.

Two halves. In the first, one product process (gateway, delivery, payer files, activities) runs a story over weeks in seconds;
every await, statement, commit, file operation and call to Temporal is a numbered point, and one fault strikes at one point.
The workflows' own code runs on a clock that is moved; the world around sends again what was not acknowledged. In the second, a
running installation has patients with scenarios and claims while faults strike its processes, files and links: the embedded
stack on SQLite, and two gateways, two workers and a Temporal server on PostgreSQL.

## What must hold after each fault

- Stage, gates, holds, open alerts, chain of identity, claims and their answers are those of the undisturbed run.
- Each claim is once at its payer, with the same content: read from the 837 files by `pyx12`, not from the database.
- No claim number and no interchange number is used twice; no file has the content of another; no patient's claim is in the
  file of another encounter.
- Every acknowledged event is in the database once, delivered and decided on. Every payer file is read once.
- Every alert that the undisturbed run delivers is delivered; none is given up.
- `cart-encounter verify` finds nothing broken.
- Every open encounter and every claim with a deadline has a running workflow.

## Commands

```
make chaos                      # every lot, resumable: SEED=13 LOTS=1-22
make chaos LOTS=3 SEED=99       # one lot of another seed
make chaos ARGS="--case sent:killed:120:5"   # one fault again, as a failure prints it
```

Lots 1 to 10 are the first half, about 100 faults each; lots 11 to 22 the second, 20 each. Every lot takes less than half an
hour. Full disks and read-only directories need the right to mount; without it they are left out, and the run says so.
"""


def kept(seed: int) -> list[dict[str, Any]]:
    """The counts of every finished lot of a seed."""
    return [json.loads(path.read_text()) for path in sorted(FINISHED.glob(f"seed-{seed}-*.json"))]


def summed(lots: list[dict[str, Any]], by: str) -> dict[str, list[int]]:
    """The counts of all lots by kind or by target."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for lot in lots:
        for key, numbers in lot[by].items():
            counts[key] = [a + b for a, b in zip(counts[key], numbers, strict=True)]
    return dict(sorted(counts.items()))


def table(counts: dict[str, list[int]], title: str) -> str:
    lines = [f"| {title} | in process | on stacks | another end |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {key} | {' | '.join(map(str, numbers))} |" for key, numbers in counts.items()]) + "\n"


def page(lots: list[dict[str, Any]], seed: int) -> str:
    """The whole page."""
    kinds, targets = summed(lots, "kind"), summed(lots, "target")
    process, stacks, wrong = (sum(numbers[place] for numbers in kinds.values()) for place in range(3))
    runs = [f"| {lot['lots']} | {sum(a + b for a, b, _ in lot['kind'].values())} | `{lot['code']}` |" for lot in lots]
    parts = [
        HEAD,
        "## What was run\n",
        f"`make chaos SEED={seed}`: {process + stacks} faults of {len(kinds)} kinds, {process} in process and {stacks} on "
        f"running stacks; {wrong} with another end than undisturbed.\n",
        table(kinds, "kind"),
        "In process, by what was struck (operation, sort of point); on stacks, by target:\n",
        table(targets, "target"),
        "The lots, and the code they ran on:\n",
        "\n".join(["| lots | faults | commit |", "|---|---|---|", *runs]) + "\n",
        "## The kinds\n",
        "\n".join(f"- **{kind.name}**: {kind.hint}" for kind in KINDS.values()) + "\n",
        "On running stacks:\n",
        "\n".join(f"- **{kind.name}**, {kind.target}: {kind.hint}" for kind in STACK_KINDS) + "\n",
        FOUND.read_text(encoding="utf-8"),
    ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.report")
    parser.add_argument("--seed", type=int, default=SEED)
    seed = parser.parse_args().seed
    (DOCS / "reliability.md").write_text(page(kept(seed), seed), encoding="utf-8")


if __name__ == "__main__":
    main()
