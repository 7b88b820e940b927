"""Referrals for preflight's tests: whole ones, and the same with things taken away."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from domain.encounter.facts import Fact
from domain.events.access import ReferralReceived
from domain.preflight import Preflight, preflight, read_referral
from domain.rulebook import Rulebook
from domain.site import Site
from intake.scenario_feeds import expand, load_feed

FEEDS = Path(__file__).resolve().parents[1] / "scenarios"
ANCHOR = date(2026, 6, 10)
NOW = datetime(2026, 4, 26, 14, tzinfo=UTC)
MCL, B_ALL, OUTPATIENT = "a_mcl_medicare_inpatient", "b_ball_commercial_inpatient", "c_mcl_outpatient_crs"


def event(feed: str = MCL) -> dict[str, Any]:
    """The referral of a scenario as a CloudEvent."""
    return next(e for e in expand(load_feed(FEEDS / f"{feed}.json"), ANCHOR) if e["type"] == "cart.referral.received")


def data(feed: str = MCL, **changes: Any) -> dict[str, Any]:
    return {**event(feed)["data"], **changes}


def insured(payer: str, feed: str = MCL, **changes: Any) -> dict[str, Any]:
    """The same patient under another payer."""
    found = data(feed, **changes)
    return {**found, "coverage": {**found["coverage"], "payer": payer}}


def without(found: dict[str, Any], *kinds: str) -> dict[str, Any]:
    return {**found, "evidence": [paper for paper in found["evidence"] if paper["kind"] not in kinds]}


def judged(
    body: dict[str, Any], site: Site, rules: Rulebook, now: datetime = NOW, holders: tuple[Fact[Any], ...] = ()
) -> Preflight:
    referral = read_referral(body)
    assert isinstance(referral, ReferralReceived)
    return preflight(referral, site, rules, now, holders)


def missing(answer: Preflight) -> set[str]:
    return {one.requirement for one in answer.missing}


def present(answer: Preflight) -> dict[int, bool]:
    return {paper.number: paper.present for paper in answer.papers}
