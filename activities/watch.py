"""The watch's hand: certificates on file, rows past review, alerts that nobody acknowledged in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from activities.alerts import reconcile_alerts
from activities.store.keys import Keyring
from activities.store.tables import AlertRecord, CertificationRow
from domain.events.governance import CertificationStatus
from domain.plan import WatchReport
from domain.rulebook import Rulebook
from domain.site import Site
from domain.watch import PREFIX, Standing, again_after, watch_alerts


def watch(session: Session, keys: Keyring, site: Site, rules: Rulebook, now: datetime) -> WatchReport:
    """Reconcile the watch's alerts and escalate what is overdue; safe to repeat."""
    wanted = watch_alerts(standing(session, keys, site), rules, now)
    opened, resolved = reconcile_alerts(session, None, wanted, now, prefix=PREFIX)
    session.flush()
    return WatchReport(opened=opened, resolved=resolved, escalated=escalate(session, now, again_after(rules, now)))


def standing(session: Session, keys: Keyring, site: Site) -> list[Standing]:
    """Per holder, layer and product the certificate that lasts longest; none after a suspension or revocation."""
    held: dict[tuple[str, str | None, str], Standing] = {}
    for entry in site.certifications:
        _keep_longest(
            held, Standing(entry.layer.value, entry.product, keys.digest("holder", entry.holder), entry.valid_to)
        )
    for row in session.exec(select(CertificationRow).order_by(col(CertificationRow.time))):
        paper = Standing(row.layer, row.product, row.holder_key, row.valid_to)
        if row.status == CertificationStatus.ACTIVE.value:
            _keep_longest(held, paper)
        else:
            held.pop((paper.layer, paper.product, paper.holder_key), None)
    return list(held.values())


def _keep_longest(held: dict[tuple[str, str | None, str], Standing], paper: Standing) -> None:
    key = (paper.layer, paper.product, paper.holder_key)
    known = held.get(key)
    if known is None or paper.valid_to is None or (known.valid_to is not None and paper.valid_to > known.valid_to):
        held[key] = paper


def escalate(session: Session, now: datetime, again: timedelta) -> int:
    """Count up every open alert whose time to acknowledge is over; unacknowledged, it is counted again after `again`."""
    overdue: Iterable[AlertRecord] = session.exec(
        select(AlertRecord).where(AlertRecord.state == "open", col(AlertRecord.acknowledge_by) <= now)
    ).all()
    count = 0
    for alert in overdue:
        alert.escalations += 1
        alert.acknowledge_by = now + again
        session.add(alert)
        count += 1
    return count
