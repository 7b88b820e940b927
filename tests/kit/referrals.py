"""Referrals for preflight's tests: whole ones, and the same with things taken away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.encounter.facts import Fact
from domain.events.access import ReferralReceived
from domain.preflight import Preflight, preflight, read_referral
from domain.rulebook import Rulebook
from domain.site import Site
from tests.kit.feeds import ANCHOR as ANCHOR
from tests.kit.feeds import B_ALL as B_ALL
from tests.kit.feeds import MCL as MCL
from tests.kit.feeds import OUTPATIENT as OUTPATIENT
from tests.kit.feeds import events_of

NOW = datetime(2026, 4, 26, 14, tzinfo=UTC)


def event(feed: str = MCL) -> dict[str, Any]:
    """The referral of a scenario as a CloudEvent."""
    return next(e for e in events_of(feed) if e["type"] == "cart.referral.received")


def data(feed: str = MCL, **changes: Any) -> dict[str, Any]:
    return {**event(feed)["data"], **changes}


def insured(payer: str, feed: str = MCL, **changes: Any) -> dict[str, Any]:
    """The same patient under another payer."""
    found = data(feed, **changes)
    return {**found, "coverage": {**found["coverage"], "payer": payer}}


def without(found: dict[str, Any], *kinds: str) -> dict[str, Any]:
    return {**found, "evidence": [document for document in found["evidence"] if document["kind"] not in kinds]}


def judged(
    body: dict[str, Any], site: Site, rules: Rulebook, now: datetime = NOW, holders: tuple[Fact[Any], ...] = ()
) -> Preflight:
    referral = read_referral(body)
    assert isinstance(referral, ReferralReceived)
    return preflight(referral, site, rules, now, holders)


def missing(answer: Preflight) -> set[str]:
    return {one.requirement for one in answer.missing}


def present(answer: Preflight) -> dict[int, bool]:
    return {one.number: one.present for one in answer.papers}
