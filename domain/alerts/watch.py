"""What no encounter's decision finds: certificates that end soon and the encounters that need them, rulebook rows past
their review date, and deadlines of authorizations and claims that are near.

Pure: what is on file, rulebook and a day in, findings out. The schedule that asks is `CertificationWatch`.
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
"""Keys of the watch's alerts begin with it: no encounter's decision opens or resolves them."""

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
    missing_layers: frozenset[str] = frozenset()

    def needs(self, certificate: WatchedCertificate) -> bool:
        """Its place holds the certificate; of a person's or a maker's, its own decision must have said so."""
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
    """One finding per certificate in its tightest band, one for all rows past review."""
    today = now.astimezone(UTC).date()
    return (*_ending(certificates, rules, today, under_way), *_overdue_rows(rules, today, now))


def near(deadlines: Iterable[Deadline], rules: Rulebook, now: datetime) -> tuple[Finding, ...]:
    """One finding for each deadline of an encounter that is not over and lies within the days of its topic.

    Raises:
        NoRule: the rulebook has no span for the topic.
    """
    today = now.astimezone(UTC).date()
    return tuple(
        Finding(NEAR[each.topic], each.name, detail=f"{each.title}, {each.due.isoformat()}", scope=SCOPE)
        for each in deadlines
        if timedelta(0) <= each.due - today <= timedelta(days=rules.one(Window, today, key=NEAR[each.topic]).days or 0)
    )


def bands(rules: Rulebook, on: date) -> tuple[int, ...]:
    """Days before the end of a certificate at which an alert opens, tightest first."""
    return tuple(sorted({row.days for row in rules.find(Window, on) if row.key.startswith(BAND) and row.days}))


def again_after(rules: Rulebook, now: datetime) -> timedelta:
    """How long after one escalation the next one comes.

    Raises:
        NoRule: the rulebook has no such span.
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
    """The first encounters planned after the last day: where to begin."""
    named = ", ".join(f"{one.encounter} ({one.planned})" for one in beyond[:NAMED])
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    return f"Planned after the last day: {named}{more}."


def _overdue_rows(rules: Rulebook, today: date, now: datetime) -> Iterator[Finding]:
    late = stale(rules, today)
    if late:
        since = min(datetime.combine(late[0].due, time(), UTC), now)
        yield Finding("rules_past_review", detail=f"{len(late)} rows", since=since, scope=SCOPE)
