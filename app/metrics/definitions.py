"""Definitions of every database metric. `docs/metrics.md` is generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["gauge", "counter", "histogram"]
Fold = Literal["sum", "max", "min"]

OTHER: Final = "other"
"""Label value that counts all values beyond the limit."""

DAY_BUCKETS: Final = (7.0, 14.0, 16.0, 19.0, 21.0, 28.0, 35.0, 45.0, 60.0, 90.0, 180.0)
"""Upper limits in days; 16 and 19 are the limits of the usual vein-to-vein time (corrections E)."""

BOUNDS: Final[Mapping[str, int]] = {
    "age": 6,
    "band": 7,
    "denial": 13,
    "destination": 12,
    "digest": 2,
    "edit": 80,
    "edition": 2,
    "feed": 30,
    "file": 2,
    "grade": 8,
    "held": 2,
    "kind": 130,
    "layer": 10,
    "ledger": 8,
    "letter": 4,
    "outcome": 6,
    "owner": 16,
    "payer_class": 8,
    "product": 12,
    "result": 2,
    "scope": 2,
    "severity": 3,
    "stage": 7,
    "state": 14,
    "statistic": 3,
    "status": 5,
    "syndrome": 2,
    "table": 30,
    "type": 45,
    "version": 2,
}
"""Highest number of values of each label; further values are counted as `other`."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric; `fold` combines series whose label is beyond its limit."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    fold: Fold = "sum"


def _gauge(name: str, labels: str, meaning: str, fold: Fold = "sum") -> Definition:
    return Definition(name, "gauge", tuple(labels.split()), meaning, fold)


def _counter(name: str, labels: str, meaning: str) -> Definition:
    return Definition(name, "counter", tuple(labels.split()), meaning)


def _days(name: str, meaning: str) -> Definition:
    return Definition(name, "histogram", (), meaning)


SERVICE: Final = (
    _gauge(
        "cart_build_info", "version edition digest", "Always 1; running version, rulebook edition and rulebook digest."
    ),
    _gauge("cart_store_up", "", "1 while the database responds."),
    _gauge("cart_store_scrape_seconds", "", "Duration of the last database read for these metrics."),
    _gauge("cart_shelf_up", "file", "1 while the rulebook or the site file on disk can be read.", "min"),
    _gauge("cart_rows_unsealed", "ledger", "Rows of a sealed ledger that are not in a signed batch yet."),
    _gauge("cart_rows_unsealed_oldest_seconds", "ledger", "Age of the oldest of them; 0 if there is none.", "max"),
)

INTAKE: Final = (
    _counter("cart_inbox_events_total", "type", "Events in the inbox, by type of the event catalog."),
    _counter("cart_inbox_conflicts_total", "", "Events whose source and ID were reused with different content."),
    _gauge("cart_inbox_undelivered", "", "Events stored and not yet delivered to their encounter."),
    _gauge(
        "cart_inbox_undelivered_oldest_seconds", "", "Age of the oldest undelivered event; 0 if there is none.", "max"
    ),
    _gauge(
        "cart_delivery_lag_seconds",
        "statistic",
        "Time from receipt of an event to its delivery, over the last hour: median, p95, max.",
        "max",
    ),
    _gauge("cart_encounters_undecided", "", "Encounters with facts newer than their last decision."),
    _gauge(
        "cart_undecided_oldest_seconds", "", "Age of the oldest fact without a decision; 0 if there is none.", "max"
    ),
    _gauge(
        "cart_feed_last_event_age_seconds",
        "feed",
        "Time since the last message of each sender, whatever its result; accurate to 15 seconds.",
        "min",
    ),
    _gauge(
        "cart_feed_lag_seconds",
        "feed",
        "Time from occurrence of a feed's events to their delivery, over the last hour: median.",
        "max",
    ),
    _gauge(
        "cart_quarantine",
        "state",
        "Quarantined events not released or closed: waiting for their encounter, invalid, in conflict, unmapped; "
        "also retained messages of unmatched patients.",
    ),
    _gauge(
        "cart_quarantine_oldest_seconds",
        "",
        "Age of the oldest event waiting in quarantine; 0 if there is none.",
        "max",
    ),
)

ENCOUNTERS: Final = (
    _gauge(
        "cart_encounters",
        "stage held age",
        "Open encounters by stage, on hold or not, and days since the first milestone.",
    ),
    _gauge("cart_encounters_open", "product payer_class", "Open encounters by product and payer class."),
    _gauge("cart_encounters_closed", "outcome", "Closed encounters by outcome."),
    _gauge("cart_encounters_overdue", "stage", "Open encounters whose next deadline has passed."),
    _gauge("cart_holds", "kind owner scope", "Open holds by kind, owner and scope (encounter or claim)."),
    _gauge("cart_holds_overridden", "kind", "Holds with a signed override."),
    _days("cart_vein_to_vein_days", "Days from collection to infusion."),
    _days("cart_brain_to_vein_days", "Days from referral to infusion."),
    _days("cart_collection_to_release_days", "Days from collection to product release."),
    _days("cart_collection_to_claim_days", "Days from the first collection until the first Claim A is ready."),
    _gauge(
        "cart_manufactures_failed",
        "result",
        "Manufacturing failures: replaced if cells were collected again afterwards, else open.",
    ),
    _gauge("cart_assessments_overdue", "", "Toxicity assessments of the monitoring period not documented in time."),
    _gauge(
        "cart_toxicity",
        "syndrome grade",
        "Encounters after infusion by highest documented CRS and ICANS grade; none if not assessed.",
    ),
    _gauge("cart_coded_stays", "syndrome grade", "Current infusion claims by coded CRS and ICANS grade."),
    _gauge("cart_custody_chains", "state", "Chains of identity by last hash check: intact or broken."),
    _gauge("cart_custody_records", "", "Records in all chains of identity."),
)

ALERTS: Final = (
    _gauge("cart_alerts_open", "kind severity state", "Unresolved alerts by kind, severity and state."),
    _gauge("cart_alerts_oldest_seconds", "severity", "Age of the oldest unresolved alert.", "max"),
    _gauge("cart_alerts_overdue", "severity owner", "Open alerts past their acknowledgment deadline."),
    _gauge("cart_alerts_escalated", "severity", "Unresolved alerts escalated at least once."),
    _counter("cart_alerts_raised_total", "kind", "Alerts ever opened, by kind."),
    _gauge("cart_alerts_age", "severity age", "Unresolved alerts by severity and days since opening."),
    _gauge(
        "cart_alert_deliveries",
        "destination state",
        "Undelivered alert messages: waiting for a retry, or dead letters.",
    ),
    _gauge(
        "cart_alert_deliveries_oldest_seconds",
        "destination",
        "Age of the oldest alert message waiting for a retry.",
        "max",
    ),
)

CLAIMS: Final = (
    _gauge("cart_claims", "letter state", "Claim versions by letter and state."),
    _gauge("cart_claim_dollars", "letter state", "Total charges of claim versions, in United States dollars."),
    _gauge("cart_claims_held", "letter owner", "Current claims held by an edit, by owner."),
    _gauge(
        "cart_sending_held", "", "Contradictions between outbox and database; while over 0, no claim is sent.", "max"
    ),
    _gauge("cart_recovered_claims_open", "", "Claims sent before a restore whose encounter did not come again.", "max"),
    _gauge("cart_claims_held_oldest_seconds", "letter", "Age of the longest current hold.", "max"),
    _gauge("cart_claims_held_edits", "edit", "Errors on held claims, by edit."),
    _gauge("cart_claims_held_denials", "denial", "Held claims by the guide's denial that the hold prevents."),
    _gauge(
        "cart_unbilled_claims",
        "letter state age",
        "Claims no payer has (waiting for documents, held or rejected) by days since the last service.",
    ),
    _gauge("cart_unbilled_dollars", "letter state age", "Charges of these unbilled claims, in United States dollars."),
    _gauge(
        "cart_claims_denied",
        "denial",
        "Claims with an unresolved payer denial, by the matching denial of the guide.",
    ),
    _counter(
        "cart_claims_first_version_total",
        "letter result",
        "First versions of claims: clean if ready at once, held if an edit held them.",
    ),
)

VALIDITY: Final = (
    _gauge(
        "cart_certifications",
        "layer product band",
        "Certificates by days left: expired, 7, 30, 60 or 90 days at most, later, or open-ended.",
    ),
    _gauge(
        "cart_certification_days_left",
        "layer product",
        "Days left on the first certificate of the layer to expire; negative after it expired.",
        "min",
    ),
    _gauge("cart_rulebook_rows", "status", "Rulebook rows by status."),
    _gauge("cart_rulebook_rows_stale", "table", "Rulebook rows past their review date."),
)

DEFINITIONS: Final[tuple[Definition, ...]] = SERVICE + INTAKE + ENCOUNTERS + ALERTS + CLAIMS + VALIDITY
BY_NAME: Final[Mapping[str, Definition]] = {definition.name: definition for definition in DEFINITIONS}
