"""What every metric of the database means. `docs/metrics.md` is written from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["gauge", "counter", "histogram"]
Fold = Literal["sum", "max", "min"]

OTHER: Final = "other"
"""Where the values of a label beyond its bound are counted together."""

DAY_BUCKETS: Final = (7.0, 14.0, 16.0, 19.0, 21.0, 28.0, 35.0, 45.0, 60.0, 90.0, 180.0)
"""Upper ends in days; 16 and 19 are the ends of the usual vein-to-vein time (corrections E)."""

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
"""The most values a label may have. What comes beyond is counted as `other`."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric: `fold` says how series are put together when a label overflows its bound."""

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
        "cart_build_info", "version edition digest", "1; the version that runs, the edition and digest of its rulebook."
    ),
    _gauge("cart_store_up", "", "1 while the database answers."),
    _gauge("cart_store_scrape_seconds", "", "How long the last reading of the database for these metrics took."),
    _gauge("cart_shelf_up", "file", "1 while the rulebook or the site file on disk can be read.", "min"),
)

INTAKE: Final = (
    _counter("cart_inbox_events_total", "type", "Events in the inbox, by type of the catalogue."),
    _counter(
        "cart_inbox_conflicts_total", "", "Events that came again under the same source and id with another body."
    ),
    _gauge("cart_inbox_undelivered", "", "Events stored and not yet noted by their encounter."),
    _gauge("cart_inbox_undelivered_oldest_seconds", "", "Age of the oldest of them; 0 when there is none.", "max"),
    _gauge(
        "cart_delivery_lag_seconds",
        "statistic",
        "From the receipt of an event to its note in the encounter, over the last hour: median, p95, max.",
        "max",
    ),
    _gauge("cart_encounters_undecided", "", "Encounters that have facts the last decision did not see."),
    _gauge(
        "cart_undecided_oldest_seconds", "", "Age of the oldest fact no decision has seen; 0 when there is none.", "max"
    ),
    _gauge(
        "cart_feed_last_event_age_seconds",
        "feed",
        "Time since the last message of each sender, whatever became of it; exact to a quarter of a minute.",
        "min",
    ),
    _gauge(
        "cart_feed_lag_seconds",
        "feed",
        "From the occurrence of a feed's events to their note in the encounter, over the last hour: median.",
        "max",
    ),
    _gauge(
        "cart_quarantine",
        "state",
        "Events in quarantine that are not released or closed: waiting for their encounter, invalid, in conflict, unmapped; "
        "and those of strangers that are set aside for a time.",
    ),
    _gauge(
        "cart_quarantine_oldest_seconds",
        "",
        "Age of the oldest event that waits in quarantine; 0 when none does.",
        "max",
    ),
)

ENCOUNTERS: Final = (
    _gauge(
        "cart_encounters",
        "stage held age",
        "Open encounters by stage, whether a hold stands, and days since the first milestone.",
    ),
    _gauge("cart_encounters_open", "product payer_class", "Open encounters by product and class of payer."),
    _gauge("cart_encounters_closed", "outcome", "Closed encounters by how they ended."),
    _gauge("cart_encounters_overdue", "stage", "Open encounters whose next deadline has passed."),
    _gauge(
        "cart_holds", "kind owner scope", "Holds that stand, by kind, owner and whether they hold encounter or claim."
    ),
    _gauge("cart_holds_overridden", "kind", "Holds that a signed override covers."),
    _days("cart_vein_to_vein_days", "Days from the collection of the cells to their infusion."),
    _days("cart_brain_to_vein_days", "Days from the referral to the infusion."),
    _days("cart_collection_to_release_days", "Days from the collection to the release of the product."),
    _days("cart_collection_to_claim_days", "Days from the first collection to the emission of the first Claim A."),
    _gauge(
        "cart_manufactures_failed",
        "result",
        "Failed manufactures: replaced when cells were collected again afterwards, else open.",
    ),
    _gauge(
        "cart_assessments_overdue", "", "Toxicity assessments of the monitoring period that are not documented in time."
    ),
    _gauge(
        "cart_toxicity",
        "syndrome grade",
        "Encounters after their infusion by the highest documented grade of CRS and of ICANS; none where not assessed.",
    ),
    _gauge("cart_coded_stays", "syndrome grade", "Current infusion claims by the coded grade of CRS and of ICANS."),
    _gauge("cart_custody_chains", "state", "Chains of identity by the last check of their hashes: intact or broken."),
    _gauge("cart_custody_records", "", "Records in all chains of identity."),
)

ALERTS: Final = (
    _gauge("cart_alerts_open", "kind severity state", "Alerts that are not resolved, by kind, severity and state."),
    _gauge("cart_alerts_oldest_seconds", "severity", "Age of the oldest alert that is not resolved.", "max"),
    _gauge("cart_alerts_overdue", "severity owner", "Open alerts nobody acknowledged by their time."),
    _gauge("cart_alerts_escalated", "severity", "Alerts not resolved that were escalated at least once."),
    _counter("cart_alerts_raised_total", "kind", "Alerts ever opened, by kind."),
    _gauge(
        "cart_alerts_age", "severity age", "Alerts that are not resolved, by severity and days since their opening."
    ),
    _gauge(
        "cart_alert_deliveries",
        "destination state",
        "Messages about alerts that did not arrive: waiting for their next try, or dead, that is given up.",
    ),
    _gauge(
        "cart_alert_deliveries_oldest_seconds",
        "destination",
        "Age of the oldest message that was tried and waits.",
        "max",
    ),
)

CLAIMS: Final = (
    _gauge("cart_claims", "letter state", "Claim versions by letter and state."),
    _gauge("cart_claim_dollars", "letter state", "Total charges of claim versions, in United States dollars."),
    _gauge("cart_claims_held", "letter owner", "Current claims that an edit holds, by who must cure it."),
    _gauge("cart_claims_held_oldest_seconds", "letter", "Time the oldest of them has been held.", "max"),
    _gauge("cart_claims_held_edits", "edit", "Errors on the held claims, by edit."),
    _gauge("cart_claims_held_denials", "denial", "Held claims by the denial of the guide that the hold prevents."),
    _gauge(
        "cart_unbilled_claims",
        "letter state age",
        "Claims no payer has (waiting for documents, held, or rejected at the door) by days since their last service.",
    ),
    _gauge("cart_unbilled_dollars", "letter state age", "What these claims would bill, in United States dollars."),
    _gauge(
        "cart_claims_denied",
        "denial",
        "Claims whose denial by a payer nobody has worked off, by the denial of the guide that its reasons fit.",
    ),
    _counter(
        "cart_claims_first_version_total",
        "letter result",
        "First versions of claims: clean when emitted at once, held when an edit stopped them.",
    ),
)

PAPERS: Final = (
    _gauge(
        "cart_certifications",
        "layer product band",
        "Certificates by days left: expired, 7, 30, 60 or 90 days at most, later, or open-ended.",
    ),
    _gauge(
        "cart_certification_days_left",
        "layer product",
        "Days left on the certificate of the layer that ends first; negative when it has expired.",
        "min",
    ),
    _gauge("cart_rulebook_rows", "status", "Rows of the rulebook by how well they are confirmed."),
    _gauge("cart_rulebook_rows_stale", "table", "Rows of the rulebook past the day of their next review."),
)

DEFINITIONS: Final[tuple[Definition, ...]] = SERVICE + INTAKE + ENCOUNTERS + ALERTS + CLAIMS + PAPERS
BY_NAME: Final[Mapping[str, Definition]] = {definition.name: definition for definition in DEFINITIONS}
