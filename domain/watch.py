"""What nobody's encounter asks about: certificates that end within reach, rulebook rows past their review.

Pure: certificates, rulebook and a day in, alerts out. The schedule that asks is `CertificationWatch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from domain.decision import Alert, Severity
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, Window
from domain.rulebook.stale import stale

PREFIX = "watch."
"""Alerts of the watch begin with it: no encounter's decision opens or resolves them."""

BAND = "certificate_band"


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate that counts now. `holder_key` is a keyed hash: a holder may be a person."""

    layer: str
    product: str | None
    holder_key: str
    valid_to: date | None


def watch_alerts(certificates: Iterable[Standing], rules: Rulebook, now: datetime) -> tuple[Alert, ...]:
    """The alerts that should stand: one per certificate in its tightest band, one for all rows past review."""
    today = now.astimezone(UTC).date()
    return (*_ending(certificates, rules, today, now), *_overdue_rows(rules, today, now))


def bands(rules: Rulebook, on: date) -> tuple[int, ...]:
    """Days before the end of a certificate at which people are told, tightest first."""
    return tuple(sorted({row.days for row in rules.find(Window, on) if row.key.startswith(BAND) and row.days}))


def again_after(rules: Rulebook, now: datetime) -> timedelta:
    """How long after one escalation the next one comes.

    Raises:
        NoRule: the rulebook has no such span.
    """
    return timedelta(hours=rules.one(Window, now.astimezone(UTC).date(), key="escalation_again").hours or 0)


def _ending(certificates: Iterable[Standing], rules: Rulebook, today: date, now: datetime) -> Iterator[Alert]:
    for paper in certificates:
        if paper.valid_to is None:
            continue
        left = (paper.valid_to - today).days
        band = "expired" if left < 0 else next((f"{days}d" for days in bands(rules, today) if left <= days), None)
        if band is None:
            continue
        kind = rules.one(AlertKind, today, kind="certificate_expired" if left < 0 else "certificate_ending")
        name = f"{paper.layer}.{paper.product or 'any'}.{paper.holder_key[:12]}.{band}"
        title = f"{kind.title}: {paper.layer.replace('_', ' ')}, {max(left, 0)} days left"
        yield _alert(kind, f"{PREFIX}{kind.kind}.{name}", title, now, paper.layer)


def _overdue_rows(rules: Rulebook, today: date, now: datetime) -> Iterator[Alert]:
    late = stale(rules, today)
    if not late:
        return
    kind = rules.one(AlertKind, today, kind="rules_past_review")
    since = datetime.combine(late[0].due, time(), UTC)
    yield _alert(kind, f"{PREFIX}{kind.kind}", f"{kind.title}: {len(late)} rows", min(since, now), None)


def _alert(kind: AlertKind, key: str, title: str, since: datetime, layer: str | None) -> Alert:
    return Alert(
        key=key,
        kind=kind.kind,
        severity=Severity(kind.severity),
        owner=kind.owner,
        title=title,
        action=kind.action,
        citation=kind.citation,
        rule=kind.id,
        since=since,
        acknowledge_hours=kind.acknowledge_hours,
        denial=kind.denial,
        layer=layer,
    )
