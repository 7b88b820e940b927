"""The activity of the watch: certificates that expire soon and the encounters that need them, rows past review, deadlines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

from temporalio import activity

from activities.decisions import DecisionService
from domain.alerts import make
from domain.alerts.model import Alert, Finding
from domain.alerts.watch import PREFIX, Deadline, UnderWay, WatchedCertificate, near, watch_findings
from domain.billing.submission.model import NOT_FILED, State
from domain.events.base import Stage
from domain.events.governance import CertificationStatus
from domain.rulebook import Rulebook
from domain.site import Site
from store.alerts import ALERTS_LOCK, reconcile_alerts
from store.claims import status_of
from store.engine import Session, take_turn
from store.keys import Keyring
from store.queries.watch import certificates, claims_in, encounters_watched, layers_alerted, open_encounters
from store.tables import Encounter
from workflows.messages import Moment, WatchReport

BEFORE_INFUSION: Final = frozenset({Stage.APHERESIS, Stage.MANUFACTURING, Stage.LYMPHODEPLETION, Stage.INFUSION})
SERVICES: Final = frozenset({"apheresis", "lymphodepletion", "infusion"})
"""Milestones that are services a certificate may be needed for."""

CERTIFICATE_KINDS: Final = frozenset({"certification_missing", "certification_expiring"})
AUTHORIZATION: Final = "authorization_"
CLAIM_ENDS: Final = {
    "file_by": ("timely filing ends", frozenset({State.ACKNOWLEDGED.value, *(state.value for state in NOT_FILED)})),
    "appeal_by": ("the time to appeal ends", frozenset({State.DENIED.value, State.PARTLY_PAID.value})),
}


class WatchActivities:
    """Runs one check for `CertificationWatch`."""

    def __init__(self, service: DecisionService) -> None:
        self.service = service

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.watch]

    @activity.defn(name="watch")
    def watch(self, moment: Moment) -> WatchReport:
        with self.service.db.write() as session:
            return watch(
                session, self.service.keys, self.service.config.site(), self.service.config.rules(), moment.now
            )


def watch(session: Session, keys: Keyring, site: Site, rules: Rulebook, now: datetime) -> WatchReport:
    """Reconcile the watch's alerts; safe to repeat."""
    take_turn(session, ALERTS_LOCK)
    found = watch_findings(in_effect(session, keys, site), rules, now, under_way(session, keys, site))
    opened, resolved = reconcile_alerts(session, None, _alerts(rules, found, now), now, prefix=PREFIX)
    for encounter, findings in deadlines_near(session, rules, now).items():
        more, fewer = reconcile_alerts(session, encounter, _alerts(rules, findings, now), now, prefix=PREFIX)
        opened, resolved = opened + more, resolved + fewer
    return WatchReport(opened=opened, resolved=resolved)


def _alerts(rules: Rulebook, findings: Iterable[Finding], now: datetime) -> list[Alert]:
    return [make.alert(rules, finding, now.astimezone(UTC).date(), now) for finding in findings]


def in_effect(session: Session, keys: Keyring, site: Site) -> list[WatchedCertificate]:
    """Return the certificate of each holder, layer and product that lasts longest; none after a suspension or revocation."""
    held: dict[tuple[str, str | None, str], WatchedCertificate] = {}
    for entry in site.certifications:
        _keep_longest(
            held,
            WatchedCertificate(entry.layer.value, entry.product, keys.digest("holder", entry.holder), entry.valid_to),
        )
    for row in certificates(session):
        reported = WatchedCertificate(row.layer, row.product, row.holder_key, row.valid_to)
        if row.status == CertificationStatus.ACTIVE.value:
            _keep_longest(held, reported)
        else:
            held.pop((reported.layer, reported.product, reported.holder_key), None)
    return list(held.values())


def _keep_longest(held: dict[tuple[str, str | None, str], WatchedCertificate], one: WatchedCertificate) -> None:
    key = (one.layer, one.product, one.holder_key)
    known = held.get(key)
    if known is None or one.valid_to is None or (known.valid_to is not None and one.valid_to > known.valid_to):
        held[key] = one


def under_way(session: Session, keys: Keyring, site: Site) -> list[UnderWay]:
    """Return the encounters before their infusion, with the day of their last planned service."""
    missing_layers = layers_alerted(session, CERTIFICATE_KINDS)
    return [
        UnderWay(
            encounter=row.encounter_id,
            product=row.product,
            holders=frozenset(keys.digest("holder", holder) for holder in _holders(row, site)),
            planned=max(_planned(row.view), default=None),
            missing_layers=frozenset(missing_layers.get(row.encounter_id, ())),
        )
        for row in open_encounters(session)
        if row.stage in BEFORE_INFUSION
    ]


def _holders(row: Encounter, site: Site) -> Iterator[str]:
    for key in row.facilities:
        yield key
        place = site.facility(key)
        if place is not None and place.pharmacy:
            yield place.pharmacy


def _planned(view: dict[str, Any]) -> Iterator[date]:
    for step in view.get("milestones", ()):
        if step["planned"] and step["name"] in SERVICES:
            yield datetime.fromisoformat(step["at"]).date()


def deadlines_near(session: Session, rules: Rulebook, now: datetime) -> dict[str, tuple[Finding, ...]]:
    """Return the findings about deadlines by encounter; an empty list for one whose alerts of the watch are over.

    Where clinical time is skipped, an encounter's clock is ahead and is used.
    """
    watched = encounters_watched(session)
    deadlines: dict[str, list[Deadline]] = {name: [] for name in watched}
    clocks: dict[str, datetime] = {}
    for row in open_encounters(session):
        clocks[row.encounter_id] = max(now, row.decided_at or now)
        deadlines.setdefault(row.encounter_id, []).extend(_of_authorizations(row.view))
    for encounter_id, deadline in _of_claims(session):
        deadlines.setdefault(encounter_id, []).append(deadline)
    found = {name: near(mine, rules, clocks.get(name, now)) for name, mine in deadlines.items()}
    return {name: findings for name, findings in sorted(found.items()) if findings or name in watched}


def _of_authorizations(view: dict[str, Any]) -> Iterator[Deadline]:
    for each in view.get("deadlines", ()):
        if str(each["kind"]).startswith(AUTHORIZATION):
            yield Deadline("authorization", each["key"], each["title"], datetime.fromisoformat(each["due"]).date())


def _of_claims(session: Session) -> Iterator[tuple[str, Deadline]]:
    """Return claims that are not filed, or whose denial is not appealed, with the last day to do so."""
    for row in claims_in(session, set().union(*(states for _, states in CLAIM_ENDS.values()))):
        status = status_of(row)
        for key, (title, states) in CLAIM_ENDS.items():
            last = status.appeal_by if key == "appeal_by" else status.file_by
            if last and row.state in states:
                name = f"{row.letter}/{row.ordinal}"
                yield (
                    row.encounter_id,
                    Deadline("claim", f"{key}.{name}", f"claim {name}: {title}", last),
                )
