"""What nobody's encounter asks about: certificates that end within reach and whom that concerns, rulebook rows past their
review, and deadlines of authorizations and claims that come near.

Pure: what stands, rulebook and a day in, alerts out. The schedule that asks is `CertificationWatch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from domain.alerts.model import Alert, Severity
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, Window
from domain.rulebook.stale import stale

PREFIX = "watch."
"""Alerts of the watch begin with it: no encounter's decision opens or resolves them."""

BAND = "certificate_band"
NEAR = {"authorization": "authorization_deadline_near", "claim": "claim_deadline_near"}
"""By topic the rule that says how many days are near, and the alert."""

NAMED = 5
"""How many encounters an alert names."""


@dataclass(frozen=True, slots=True)
class WatchedCertificate:
    """A certificate that counts now. `holder_key` is a keyed hash: a holder may be a person."""

    layer: str
    product: str | None
    holder_key: str
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An encounter before its infusion, as far as certificates concern it.

    Attributes:
        holders: keyed hashes of the facilities and pharmacies it plans with.
        planned: the last planned day of a service; None when none is planned yet.
        lacking: layers of which its own decision says that a certificate is missing or ends before the service.
    """

    encounter: str
    product: str
    holders: frozenset[str]
    planned: date | None
    lacking: frozenset[str] = frozenset()

    def needs(self, paper: WatchedCertificate) -> bool:
        """Its place holds the certificate; of a person's or a maker's, its own decision must have said so."""
        of_its_product = paper.product in (None, self.product)
        return of_its_product and (paper.holder_key in self.holders or paper.layer in self.lacking)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day by which somebody must have acted. `topic` is authorization or claim, `name` tells those of one encounter apart."""

    topic: str
    name: str
    title: str
    due: date


def watch_alerts(
    certificates: Iterable[WatchedCertificate], rules: Rulebook, now: datetime, under_way: Sequence[UnderWay] = ()
) -> tuple[Alert, ...]:
    """The alerts that should stand: one per certificate in its tightest band, one for all rows past review."""
    today = now.astimezone(UTC).date()
    return (*_ending(certificates, rules, today, now, under_way), *_overdue_rows(rules, today, now))


def near(deadlines: Iterable[Deadline], rules: Rulebook, now: datetime) -> tuple[Alert, ...]:
    """One alert for each deadline of an encounter that is not over and lies within the days of its topic.

    Raises:
        NoRule: the rulebook has no span or no alert for the topic.
    """
    today = now.astimezone(UTC).date()
    found = []
    for each in deadlines:
        days = rules.one(Window, today, key=NEAR[each.topic]).days or 0
        if timedelta(0) <= each.due - today <= timedelta(days=days):
            kind = rules.one(AlertKind, today, kind=NEAR[each.topic])
            title = f"{kind.title}: {each.title}, {each.due.isoformat()}"
            found.append(_alert(kind, f"{PREFIX}{kind.kind}.{each.name}", title, now, None))
    return tuple(found)


def bands(rules: Rulebook, on: date) -> tuple[int, ...]:
    """Days before the end of a certificate at which people are told, tightest first."""
    return tuple(sorted({row.days for row in rules.find(Window, on) if row.key.startswith(BAND) and row.days}))


def again_after(rules: Rulebook, now: datetime) -> timedelta:
    """How long after one escalation the next one comes.

    Raises:
        NoRule: the rulebook has no such span.
    """
    return timedelta(hours=rules.one(Window, now.astimezone(UTC).date(), key="escalation_again").hours or 0)


def _ending(
    certificates: Iterable[WatchedCertificate],
    rules: Rulebook,
    today: date,
    now: datetime,
    under_way: Sequence[UnderWay],
) -> Iterator[Alert]:
    for paper in certificates:
        if paper.valid_to is None:
            continue
        left = (paper.valid_to - today).days
        band = "expired" if left < 0 else next((f"{days}d" for days in bands(rules, today) if left <= days), None)
        if band is None:
            continue
        kind = rules.one(AlertKind, today, kind="certificate_expired" if left < 0 else "certificate_ending")
        name = f"{paper.layer}.{paper.product or 'any'}.{paper.holder_key[:12]}.{band}"
        concerned = sorted(
            (one for one in under_way if one.needs(paper)), key=lambda one: (one.planned or date.max, one.encounter)
        )
        beyond = [one for one in concerned if one.planned is not None and one.planned > paper.valid_to]
        title = f"{kind.title}: {paper.layer.replace('_', ' ')}, {max(left, 0)} days left{_whom(concerned, beyond)}"
        alert = _alert(kind, f"{PREFIX}{kind.kind}.{name}", title, now, paper.layer)
        if beyond:
            alert = replace(alert, severity=Severity.CRITICAL, action=f"{alert.action} {_first(beyond)}")
        yield alert


def _whom(concerned: Sequence[UnderWay], beyond: Sequence[UnderWay]) -> str:
    if not concerned:
        return "; no encounter under way needs it"
    need = "1 encounter under way needs it" if len(concerned) == 1 else f"{len(concerned)} encounters under way need it"
    return f"; {need}, {len(beyond)} planned after its end" if beyond else f"; {need}"


def _first(beyond: Sequence[UnderWay]) -> str:
    """The first encounters planned after the end, so that somebody can begin with them."""
    named = ", ".join(f"{one.encounter} ({one.planned})" for one in beyond[:NAMED])
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    return f"Planned after its end: {named}{more}."


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
