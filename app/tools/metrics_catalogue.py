"""Writes `docs/metrics.md` from the metric definitions and this program's counters.

Run `python -m app.tools.metrics_catalogue docs/metrics.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import REGISTRY

import activities.alerting.deliver
import activities.claim
import activities.encounter
import app.process.gateway
import app.process.http_limits
import app.process.reconciler
import app.process.sealing
import intake.counters
import intake.payer_files.directory
from app.metrics.definitions import (
    ALERTS,
    BOUNDS,
    BY_NAME,
    CLAIMS,
    ENCOUNTERS,
    INTAKE,
    OTHER,
    SERVICE,
    VALIDITY,
    Definition,
)
from app.metrics.sdk_names import PROMETHEUS, SDK

COUNTING_MODULES = (
    activities.alerting.deliver,
    activities.claim,
    activities.encounter,
    app.process.gateway,
    app.process.reconciler,
    app.process.sealing,
    app.process.http_limits,
    intake.counters,
    intake.payer_files.directory,
)
"""Imported so that their counters are in the registry."""

PREFIX = "cart_"
HEAD = """# Metrics

Written by `python -m app.tools.metrics_catalogue docs/metrics.md`; a test compares. Worker and gateway serve `/metrics`.
Database metrics are the same on every process. Combine them with `max without (instance, job)`, never with `sum`.

No metric has a label that names a person, an encounter, an event or a claim. Each label has a limit on its number of values
(in parentheses). Values beyond the limit are counted as `{other}`.
"""


def markdown() -> str:
    """Returns the whole document."""
    parts = [HEAD.format(other=OTHER)]
    for title, definitions in (
        ("Service", SERVICE),
        ("Intake", INTAKE),
        ("Encounters", ENCOUNTERS),
        ("Alerts", ALERTS),
        ("Claims", CLAIMS),
        ("Certificates and rulebook", VALIDITY),
        ("Counted by each process", tuple(process_metrics())),
        ("Temporal SDK metrics used by rules and dashboards", SDK),
        ("Prometheus and Python metrics", PROMETHEUS),
    ):
        parts.append("\n".join([f"## {title}", "", *_table(definitions)]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def process_metrics() -> Iterator[Definition]:
    """Yields the counters that modules of this program keep in the process registry."""
    named = {each.name: each for each in REGISTRY.collect() if each.name.startswith(PREFIX)}
    labels = {
        collector._name: collector._labelnames  # type: ignore[attr-defined]
        for collector in list(REGISTRY._collector_to_names)
        if getattr(collector, "_name", "").startswith(PREFIX)
    }
    for name, family in sorted(named.items()):
        if name in labels:
            counter = family.type == "counter"
            full = f"{name}_total" if counter else name
            yield Definition(full, "counter" if counter else "gauge", tuple(labels[name]), family.documentation)


def _table(definitions: Iterable[Definition]) -> Iterator[str]:
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for each in definitions:
        labels = ", ".join(f"{name} ({BOUNDS[name]})" if each.name in BY_NAME else name for name in each.labels)
        yield f"| `{each.name}` | {each.kind} | {labels} | {each.meaning} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")
