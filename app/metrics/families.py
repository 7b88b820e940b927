"""Turns samples into metric families: every defined family once, every label within its limit."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from app.metrics.definitions import BOUNDS, BY_NAME, DAY_BUCKETS, DEFINITIONS, OTHER, Definition, Fold

Labels = tuple[str, ...]
FOLDS: Mapping[Fold, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min}


@dataclass(frozen=True, slots=True)
class Sample:
    """One counted value, or one observation of a histogram. Labels are in the order of the definition."""

    name: str
    value: float
    labels: Labels = ()


def sample(name: str, value: object, *labels: object) -> Sample:
    """Returns a sample with its labels in lower case; a missing value is `none`."""
    texts = tuple("none" if label is None else str(label).lower() for label in labels)
    return Sample(name, float(str(value if value is not None else 0)), texts)


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Yields every defined family, including empty ones.

    Raises:
        KeyError: a sample has no metric definition.
    """
    by_name: dict[str, list[Sample]] = {definition.name: [] for definition in DEFINITIONS}
    for each in samples:
        by_name[each.name].append(each)
    for name, mine in by_name.items():
        yield _family(BY_NAME[name], mine)


def _family(definition: Definition, mine: Sequence[Sample]) -> Metric:
    if definition.kind == "histogram":
        return _histogram(definition, [each.value for each in mine])
    make = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = make(definition.name, definition.meaning, labels=definition.labels)
    for labels, value in sorted(_bounded(definition, mine).items()):
        family.add_metric(list(labels), value)
    return family


def _bounded(definition: Definition, mine: Sequence[Sample]) -> dict[Labels, float]:
    kept = [_largest(definition, mine, position) for position in range(len(definition.labels))]
    together: defaultdict[Labels, list[float]] = defaultdict(list)
    for each in mine:
        labels = tuple(text if text in kept[at] else OTHER for at, text in enumerate(each.labels))
        together[labels].append(each.value)
    return {labels: FOLDS[definition.fold](values) for labels, values in together.items()}


def _largest(definition: Definition, mine: Sequence[Sample], position: int) -> frozenset[str]:
    """Returns the values of a label that keep their name: all, or the most frequent, with room for `other`."""
    weight: defaultdict[str, float] = defaultdict(float)
    for each in mine:
        weight[each.labels[position]] += each.value
    bound = BOUNDS[definition.labels[position]]
    if len(weight) <= bound:
        return frozenset(weight)
    return frozenset(sorted(weight, key=lambda text: (-weight[text], text))[: bound - 1])


def _histogram(definition: Definition, values: Sequence[float]) -> HistogramMetricFamily:
    counts = [0] * (len(DAY_BUCKETS) + 1)
    for value in values:
        counts[bisect_left(DAY_BUCKETS, value)] += 1
    buckets, running = [], 0
    for end, count in zip((*map(str, DAY_BUCKETS), "+Inf"), counts, strict=True):
        running += count
        buckets.append((end, running))
    return HistogramMetricFamily(definition.name, definition.meaning, buckets=buckets, sum_value=sum(values))


AGE_BANDS = ((7, "0-7d"), (28, "8-28d"), (60, "29-60d"), (90, "61-90d"))


def age_band(age: timedelta) -> str:
    """Returns the band of an age in days; five bands."""
    return next((name for days, name in AGE_BANDS if age.days <= days), "over-90d")
