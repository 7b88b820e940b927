"""A simulated year: does every dashboard answer, does a metric go beyond its bound, how fast is the board?

    python -m tests.bench.year [--encounters 500] [--seed 7]

The cohort goes through the real intake and the real decisions into a SQLite file; a real Prometheus with the repository's rules
scrapes the metrics and is asked every query of every dashboard; the pages are asked of the real gateway. Ends with 1 when a
query has no answer, a label has more values than its bound, or the median of a page is over its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import select

from app.api.access import Access, digest
from app.api.actors import Actor
from app.metrics import StoreMetrics
from app.metrics.definitions import BOUNDS
from app.process.gateway import create_gateway
from store.tables import AlertRecord, ClaimVersion, Encounter
from tests.kit.cohort import AT, play
from tests.kit.metrics_store import World
from tests.kit.panels import BUILD, PANELS, answers, watched

PAGE_SECONDS = 0.2
ROUNDS = 11
TOKEN = "a-token-of-the-measurement"


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encounters", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        began = time.perf_counter()
        events = play(world, given.encounters, given.seed, 365)
        print(f"cohort: {given.encounters} drawn, {events} events in {time.perf_counter() - began:.0f} s")
        print(_content(world))
        failed = [*_bounds(world), *_dashboards(world, Path(directory), given.prometheus), *asyncio.run(_pages(world))]
        world.db.close()
    print("\n".join(failed) or "everything within its bounds")
    sys.exit(bool(failed))


def _content(world: World) -> str:
    with world.db.read() as session:
        counts = {
            table.__tablename__: len(session.exec(select(table)).all())
            for table in (Encounter, AlertRecord, ClaimVersion)
        }
    return "store: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def _registry(world: World) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StoreMetrics(world.db, world.config, world.keys, clock=lambda: AT))
    return registry


def _bounds(world: World) -> Iterator[str]:
    began = time.perf_counter()
    text = generate_latest(_registry(world)).decode()
    took = time.perf_counter() - began
    seen: dict[tuple[str, str], set[str]] = {}
    series = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series += 1
            for label, value in sample.labels.items():
                if label != "le":
                    seen.setdefault((family.name, label), set()).add(value)
    fullest = sorted(seen, key=lambda key: -len(seen[key]) / BOUNDS[key[1]])[:5]
    print(f"metrics: {series} series, {len(text) // 1024} KiB, first reading {took * 1000:.0f} ms; fullest labels:")
    for name, label in fullest:
        print(f"  {name} {label}: {len(seen[name, label])} of {BOUNDS[label]}")
    for (name, label), values in seen.items():
        if len(values) > BOUNDS[label]:
            yield f"{name} has {len(values)} values of {label}, at most {BOUNDS[label]} are allowed"


def _dashboards(world: World, directory: Path, binary: str) -> list[str]:
    with watched(world, AT, directory, binary) as where:
        found = {f"{name}: {panel['title']}": answers(where, BUILD.query_of(panel)) for name, panel in PANELS}
    print(f"dashboards: {sum(map(bool, found.values()))} of {len(found)} queries answered with data")
    return [f"no data: {title}" for title, series in found.items() if not series]


async def _pages(world: World) -> list[str]:
    api = create_gateway(
        db=world.db,
        keys=world.keys,
        access=Access({digest(TOKEN): Actor("measurement")}),
        site=world.site(),
        rules=world.config.rules,
        clock=lambda: AT,
    )
    with world.db.read() as session:
        fullest = max(session.exec(select(Encounter)).all(), key=lambda row: row.next_sequence).encounter_id
    paths = (
        "/",
        "/?part=live",
        "/alerts",
        "/work/coordinator",
        "/work/biller",
        "/work/lab",
        "/closed",
        f"/encounters/{fullest}",
    )
    slow = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as http:
        await http.post("/sign-in", data={"token": TOKEN})
        for path in paths:
            took = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = await http.get(path)
                took.append(time.perf_counter() - began)
                assert answer.status_code == httpx.codes.OK, (path, answer.status_code)
            median = statistics.median(took)
            shown = path.replace(fullest, "(the fullest)")
            size = len(answer.content) // 1024
            print(f"page {shown}: median {median * 1000:.0f} ms, slowest {max(took) * 1000:.0f} ms, {size} KiB")
            if median >= PAGE_SECONDS:
                slow.append(
                    f"page {shown} takes {median * 1000:.0f} ms at the median, at most {PAGE_SECONDS * 1000:.0f}"
                )
    return slow


if __name__ == "__main__":
    main()
