"""Compares the expected outcome of a scenario feed with the actual one.

Days are offsets from the anchor, amounts are decimal texts, and a service line is one row:
`[revenue code, service code, modifiers, units, day, charge]`. Keys missing from an expectation are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from intake.scenario_feeds import Feed, load_feed

SCENARIOS: Final = Path(__file__).resolve().parents[2] / "tests" / "scenarios"
EXPECTED: Final = ".expected.json"

Seen = Mapping[str, Any]
"""An encounter as the HTTP interface returns it: stage, holds, alerts, claims by key and more."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A feed with its expected outcome."""

    feed: Feed
    expected: Mapping[str, Any]

    @property
    def checkpoints(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns the expected outcome after each part of the feed, by the part's name."""
        return dict(self.expected.get("checkpoints", {}))


def scenarios(directory: Path = SCENARIOS) -> list[Scenario]:
    """Returns every feed of a directory with its expected outcome, in order of file name.

    Raises:
        FeedError: a feed is not valid.
        OSError: a feed has no file with an expected outcome.
    """
    feeds = sorted(path for path in directory.glob("*.json") if not path.name.endswith(EXPECTED))
    return [
        Scenario(load_feed(path), json.loads(path.with_suffix("").with_suffix(EXPECTED).read_text(encoding="utf-8")))
        for path in feeds
    ]


def differences(expected: Mapping[str, Any], seen: Seen, anchor: date) -> list[str]:
    """Returns every difference between expected and actual outcome as text; empty if there is none."""
    found: list[str] = []
    for key, required in expected.items():
        if key == "claims":
            found += _claims(required, seen["claims"], anchor)
        elif key in _VIEWS:
            found += _unequal(key, required, _VIEWS[key](seen))
    return found


def _alerts(seen: Seen, severity: str | None = None) -> list[str]:
    chosen = [a["kind"] for a in seen["alerts"] if severity is None or a["severity"] == severity]
    return sorted(set(chosen))


def _open_holds(seen: Seen) -> list[Mapping[str, Any]]:
    return [hold for hold in seen["holds"] if not hold.get("override")]


def _of_holds(field: str) -> Callable[[Seen], list[str]]:
    return lambda seen: sorted({str(hold[field]) for hold in _open_holds(seen) if hold.get(field)})


_VIEWS: Final[Mapping[str, Callable[[Seen], object]]] = {
    "stage": lambda seen: seen["stage"],
    "outcome": lambda seen: seen.get("outcome"),
    "cleared": lambda seen: sorted(seen.get("cleared", [])),
    "holds": lambda seen: sorted(str(hold["rule"]) for hold in _open_holds(seen)),
    "hold_kinds": _of_holds("kind"),
    "hold_layers": _of_holds("layer"),
    "hold_rules": _of_holds("rule"),
    "open_alerts": _alerts,
    "critical_alerts": lambda seen: _alerts(seen, "critical"),
    "vein_to_vein_days": lambda seen: seen.get("vein_to_vein_days"),
    "custody_verified": lambda seen: seen.get("custody_verified"),
}


def _unequal(key: str, required: object, got: object) -> list[str]:
    return [] if required == got else [f"{key}: expected {_short(required)}, got {_short(got)}"]


def _short(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _claims(
    required: Mapping[str, Any] | Sequence[str], got: Mapping[str, Mapping[str, Any]], anchor: date
) -> list[str]:
    found = _unequal("claims", sorted(required), sorted(got))
    if not isinstance(required, Mapping):
        return found
    for key, claim in required.items():
        if key in got:
            shown = _claim(got[key], anchor)
            for field, value in claim.items():
                compare = _lines if field == "lines" else _unequal
                found += compare(f"{key} {field}", value, shown[field])
    return found


def _claim(claim: Mapping[str, Any], anchor: date) -> dict[str, Any]:
    """Returns a claim's document in the form of an expectation."""
    diagnoses = [d for d in claim["diagnoses"] if d["role"] != "admitting"]
    return {
        "state": claim["state"],
        "form": claim["form"],
        "type_of_bill": claim["type_of_bill"],
        "statement": [_day(claim["statement_from"], anchor), _day(claim["statement_through"], anchor)],
        "principal": next((d["code"] for d in diagnoses if d["role"] == "principal"), None),
        "diagnoses": [d["code"] for d in diagnoses],
        "procedures": [[p["code"], _day(p["date"], anchor)] for p in claim["procedures"]],
        "drg": claim["drg"],
        "codes": sorted([c["kind"], c["code"], c["amount"]] for c in claim["codes"]),
        "lines": [_line(line, anchor) for line in claim["lines"]],
        "total": claim["total"],
    }


def _line(line: Mapping[str, Any], anchor: date) -> list[Any]:
    day = _day(line["date_of_service"], anchor)
    return [line["revenue_code"], line["hcpcs"], list(line["modifiers"]), line["units"], day, line["charge"]]


def _day(text: str, anchor: date) -> int:
    return (date.fromisoformat(text) - anchor).days


def _lines(key: str, required: Iterable[Sequence[Any]], got: Iterable[Sequence[Any]]) -> list[str]:
    """Returns missing and extra lines; their order on the claim is not compared."""
    left, right = [_short(line) for line in required], [_short(line) for line in got]
    for line in list(left):
        if line in right:
            left.remove(line)
            right.remove(line)
    return [f"{key}: missing {line}" for line in left] + [f"{key}: extra {line}" for line in right]
