"""Findings outside encounters: certificates that expire soon and the encounters that need them, rulebook rows past
their review date, and deadlines of authorizations and claims that are near.

Pure: certificates, rulebook and a day in, findings out. `CertificationWatch` runs it on a schedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from domain.alerts.model import Finding, Severity
from domain.rulebook import Rulebook
from domain.rulebook.rows import Window
from domain.rulebook.stale import stale

SCOPE = "watch"
PREFIX = f"{SCOPE}."
"""Keys of the watch's alerts start with this: an encounter's decision never opens or resolves them."""

BAND = "certificate_band"
NEAR = {"authorization": "authorization_deadline_near", "claim": "claim_deadline_near"}
"""By topic, the rule with the number of days that are near, and the alert."""

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
    """An encounter before its infusion, with the facts that certificates matter for.

    Attributes:
        holders: keyed hashes of the facilities and pharmacies it plans with.
        planned: the last planned day of a service; None when none is planned yet.
        missing_layers: layers whose certificate is missing or expires before the service, by its own decision.
    """

    encounter: str
    product: str
    holders: frozenset[str]
    planned: date | None
    missing_layers: frozenset[str] = frozenset()

    def needs(self, certificate: WatchedCertificate) -> bool:
        """Whether its center holds the certificate; for a person or a manufacturer, whether its own decision reports it."""
        of_its_product = certificate.product in (None, self.product)
        return of_its_product and (certificate.holder_key in self.holders or certificate.layer in self.missing_layers)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day by which a role must have acted. `topic` is authorization or claim, `name` distinguishes those of one encounter."""

    topic: str
    name: str
    title: str
    due: date


def watch_findings(
    certificates: Iterable[WatchedCertificate], rules: Rulebook, now: datetime, under_way: Sequence[UnderWay] = ()
) -> tuple[Finding, ...]:
    """Return one finding per certificate in its narrowest range of days, one for all rows past review."""
    today = now.astimezone(UTC).date()
    return (*_ending(certificates, rules, today, under_way), *_overdue_rows(rules, today, now))


def near(deadlines: Iterable[Deadline], rules: Rulebook, now: datetime) -> tuple[Finding, ...]:
    """Return one finding for each deadline of an open encounter within the days of its topic.

    Raises:
        NoRule: the rulebook has no number of days for the topic.
    """
    today = now.astimezone(UTC).date()
    return tuple(
        Finding(NEAR[each.topic], each.name, detail=f"{each.title}, {each.due.isoformat()}", scope=SCOPE)
        for each in deadlines
        if timedelta(0) <= each.due - today <= timedelta(days=rules.one(Window, today, key=NEAR[each.topic]).days or 0)
    )


def bands(rules: Rulebook, on: date) -> tuple[int, ...]:
    """Days before the end of a certificate at which an alert opens, smallest first."""
    return tuple(sorted({row.days for row in rules.find(Window, on) if row.key.startswith(BAND) and row.days}))


def again_after(rules: Rulebook, now: datetime) -> timedelta:
    """Return the time from one escalation to the next.

    Raises:
        NoRule: the rulebook has no such time.
    """
    return timedelta(hours=rules.one(Window, now.astimezone(UTC).date(), key="escalation_again").hours or 0)


def _ending(
    certificates: Iterable[WatchedCertificate], rules: Rulebook, today: date, under_way: Sequence[UnderWay]
) -> Iterator[Finding]:
    for certificate in certificates:
        if certificate.valid_to is None:
            continue
        left = (certificate.valid_to - today).days
        band = "expired" if left < 0 else next((f"{days}d" for days in bands(rules, today) if left <= days), None)
        if band is None:
            continue
        concerned = sorted(
            (one for one in under_way if one.needs(certificate)),
            key=lambda one: (one.planned or date.max, one.encounter),
        )
        beyond = [one for one in concerned if one.planned is not None and one.planned > certificate.valid_to]
        layer = certificate.layer.replace("_", " ")
        yield Finding(
            "certificate_expired" if left < 0 else "certificate_ending",
            f"{certificate.layer}.{certificate.product or 'any'}.{certificate.holder_key[:12]}.{band}",
            detail=f"{layer}, last day {certificate.valid_to}, {max(left, 0)} days left{_affected(concerned, beyond)}",
            severity=Severity.CRITICAL if beyond else None,
            layer=certificate.layer,
            scope=SCOPE,
            next_step=_first(beyond) if beyond else "",
        )


def _affected(concerned: Sequence[UnderWay], beyond: Sequence[UnderWay]) -> str:
    if not concerned:
        return "; no encounter in progress needs the certificate"
    need = "1 encounter in progress needs" if len(concerned) == 1 else f"{len(concerned)} encounters in progress need"
    return f"; {need} the certificate" + (f", {len(beyond)} planned after the last day" if beyond else "")


def _first(beyond: Sequence[UnderWay]) -> str:
    """Return the first encounters planned after the last day, to work first."""
    named = ", ".join(f"{one.encounter} ({one.planned})" for one in beyond[:NAMED])
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    return f"Planned after the last day: {named}{more}."


def _overdue_rows(rules: Rulebook, today: date, now: datetime) -> Iterator[Finding]:
    late = stale(rules, today)
    if late:
        since = min(datetime.combine(late[0].due, time(), UTC), now)
        yield Finding("rules_past_review", detail=f"{len(late)} rows", since=since, scope=SCOPE)
