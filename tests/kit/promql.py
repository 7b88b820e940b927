"""Reading PromQL as far as the tests need it: the metrics that a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from app.metrics.definitions import DEFINITIONS
from app.metrics.sdk_names import PROMETHEUS, SDK
from app.tools.metrics_catalogue import process_metrics
from tests.kit.files import DEPLOY

RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
NAME = re.compile(r"\b(?:(?:cart|temporal|process)_\w+|cart:\w[\w:]*|up)\b(?!\s*=)")
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


def metrics_in(query: str) -> set[str]:
    """The metrics and recorded series a query names; label values are left out."""
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', query)))


def documented() -> set[str]:
    """Every series name that may be asked for."""
    names: set[str] = set()
    for each in (*DEFINITIONS, *process_metrics(), *SDK, *PROMETHEUS):
        names |= {each.name + part for part in HISTOGRAM_PARTS} if each.kind == "histogram" else {each.name}
    return names


def rules(kind: str) -> Iterator[dict[str, Any]]:
    """Every rule of a kind: `alert` or `record`."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from ({**rule, "file": path.stem} for rule in group["rules"] if kind in rule)


def recorded() -> set[str]:
    return {rule["record"] for rule in rules("record")}


ALERTS = {rule["alert"]: rule for rule in rules("alert")}
