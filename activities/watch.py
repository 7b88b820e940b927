"""The watch's hand: certificates on file, rows past review."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from activities.alerts import reconcile_alerts
from activities.store.keys import Keyring
from activities.store.tables import CertificationRow
from domain.events.governance import CertificationStatus
from domain.plan import WatchReport
from domain.rulebook import Rulebook
from domain.site import Site
from domain.watch import PREFIX, Standing, watch_alerts


def watch(session: Session, keys: Keyring, site: Site, rules: Rulebook, now: datetime) -> WatchReport:
    """Reconcile the watch's alerts; safe to repeat."""
    wanted = watch_alerts(standing(session, keys, site), rules, now)
    opened, resolved = reconcile_alerts(session, None, wanted, now, prefix=PREFIX)
    return WatchReport(opened=opened, resolved=resolved)


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
