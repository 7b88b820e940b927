"""The watch's hand: certificates on file and whom their end concerns, rows past review, deadlines that come near."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, Final

from sqlmodel import Session, col, select
from temporalio import activity

from activities.decisions import DecisionService
from domain.alerts.model import Alert
from domain.alerts.watch import PREFIX, Deadline, UnderWay, WatchedCertificate, near, watch_alerts
from domain.billing.submission.model import NOT_FILED, State
from domain.events.base import Stage
from domain.events.governance import CertificationStatus
from domain.rulebook import Rulebook
from domain.site import Site
from store.alerts import ALERTS_LOCK, reconcile_alerts
from store.claims import status_of
from store.engine import take_turn
from store.keys import Keyring
from store.tables import AlertRecord, CertificationRow, ClaimVersion, Encounter
from workflows.messages import Moment, WatchReport

BEFORE_INFUSION: Final = frozenset({Stage.APHERESIS, Stage.MANUFACTURING, Stage.LYMPHODEPLETION, Stage.INFUSION})
SERVICES: Final = frozenset({"apheresis", "lymphodepletion", "infusion"})
"""Milestones that are services a certificate may be needed for."""

LACKING: Final = frozenset({"certification_missing", "certification_expiring"})
AUTHORIZATION: Final = "authorization_"
CLAIM_ENDS: Final = {
    "file_by": ("timely filing ends", frozenset({State.ACKNOWLEDGED.value, *(state.value for state in NOT_FILED)})),
    "appeal_by": ("the time to appeal ends", frozenset({State.DENIED.value, State.PARTLY_PAID.value})),
}


class WatchActivities:
    """The look of `CertificationWatch`."""

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
    wanted = watch_alerts(standing(session, keys, site), rules, now, under_way(session, keys, site))
    opened, resolved = reconcile_alerts(session, None, wanted, now, prefix=PREFIX)
    for encounter, alerts in deadlines_near(session, rules, now).items():
        more, fewer = reconcile_alerts(session, encounter, alerts, now, prefix=PREFIX)
        opened, resolved = opened + more, resolved + fewer
    return WatchReport(opened=opened, resolved=resolved)


def standing(session: Session, keys: Keyring, site: Site) -> list[WatchedCertificate]:
    """Per holder, layer and product the certificate that lasts longest; none after a suspension or revocation."""
    held: dict[tuple[str, str | None, str], WatchedCertificate] = {}
    for entry in site.certifications:
        _keep_longest(
            held,
            WatchedCertificate(entry.layer.value, entry.product, keys.digest("holder", entry.holder), entry.valid_to),
        )
    for row in session.exec(select(CertificationRow).order_by(col(CertificationRow.time))):
        paper = WatchedCertificate(row.layer, row.product, row.holder_key, row.valid_to)
        if row.status == CertificationStatus.ACTIVE.value:
            _keep_longest(held, paper)
        else:
            held.pop((paper.layer, paper.product, paper.holder_key), None)
    return list(held.values())


def _keep_longest(held: dict[tuple[str, str | None, str], WatchedCertificate], paper: WatchedCertificate) -> None:
    key = (paper.layer, paper.product, paper.holder_key)
    known = held.get(key)
    if known is None or paper.valid_to is None or (known.valid_to is not None and paper.valid_to > known.valid_to):
        held[key] = paper


def under_way(session: Session, keys: Keyring, site: Site) -> list[UnderWay]:
    """The encounters before their infusion, with the day of their last planned service."""
    lacking: dict[str, set[str]] = {}
    query = select(AlertRecord.encounter_id, AlertRecord.layer).where(
        AlertRecord.state != "resolved", col(AlertRecord.kind).in_(LACKING)
    )
    for encounter_id, layer in session.exec(query):
        if encounter_id and layer:
            lacking.setdefault(encounter_id, set()).add(layer)
    return [
        UnderWay(
            encounter=row.encounter_id,
            product=row.product,
            holders=frozenset(keys.digest("holder", holder) for holder in _holders(row, site)),
            planned=max(_planned(row.view), default=None),
            lacking=frozenset(lacking.get(row.encounter_id, ())),
        )
        for row in _open(session)
        if row.stage in BEFORE_INFUSION
    ]


def _open(session: Session) -> Iterable[Encounter]:
    return session.exec(select(Encounter).where(Encounter.status == "open").order_by(Encounter.encounter_id))


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


def deadlines_near(session: Session, rules: Rulebook, now: datetime) -> dict[str, tuple[Alert, ...]]:
    """By encounter the alerts about deadlines, for those that have any; none for one whose alerts of the watch are over.

    Where clinical time is skipped an encounter's clock runs ahead; it counts then.
    """
    told = select(AlertRecord.encounter_id).where(
        AlertRecord.state != "resolved",
        col(AlertRecord.key).startswith(PREFIX),
        col(AlertRecord.encounter_id).is_not(None),
    )
    standing = {name for name in session.exec(told) if name}
    found: dict[str, list[Deadline]] = {name: [] for name in standing}
    clocks: dict[str, datetime] = {}
    for row in _open(session):
        clocks[row.encounter_id] = max(now, row.decided_at or now)
        found.setdefault(row.encounter_id, []).extend(_of_authorizations(row.view))
    for encounter_id, deadline in _of_claims(session):
        found.setdefault(encounter_id, []).append(deadline)
    alerts = {
        encounter_id: near(deadlines, rules, clocks.get(encounter_id, now)) for encounter_id, deadlines in found.items()
    }
    return {name: wanted for name, wanted in sorted(alerts.items()) if wanted or name in standing}


def _of_authorizations(view: dict[str, Any]) -> Iterator[Deadline]:
    for each in view.get("deadlines", ()):
        if str(each["kind"]).startswith(AUTHORIZATION):
            yield Deadline("authorization", each["key"], each["title"], datetime.fromisoformat(each["due"]).date())


def _of_claims(session: Session) -> Iterator[tuple[str, Deadline]]:
    """Claims that nobody has filed, or whose denial nobody has appealed, with the last day to do so."""
    open_states = sorted(set().union(*(states for _, states in CLAIM_ENDS.values())))
    query = select(ClaimVersion).where(col(ClaimVersion.state).in_(open_states))
    for row in session.exec(query.order_by(ClaimVersion.encounter_id)):
        status = status_of(row)
        for key, (title, states) in CLAIM_ENDS.items():
            last = status.appeal_by if key == "appeal_by" else status.file_by
            if last and row.state in states:
                name = f"{row.letter}/{row.ordinal}"
                yield (
                    row.encounter_id,
                    Deadline("claim", f"{key}.{name}", f"claim {name}: {title}", last),
                )
