"""Every table. Columns that could name a person hold ciphertext or a keyed hash, never plain text.

Ciphertext is bound to its column and row (`sealed_for`), so that it cannot be moved to another.

Columns that hold identity, encrypted: `patients`, `staff`, `inbox.body`, `inbox_conflicts.body`,
`quarantine.body`, `quarantine.closed_note`, `aliases.value`,
`emergency_access.reason`, `fhir_resources.body`, `recovered_claims.body`.
"""

from __future__ import annotations

from store.tables.access import AuditEntry, EmergencyAccess, SessionEnded, WebhookSeen
from store.tables.alerts import UNREPORTED, AlertDelivery, AlertRecord
from store.tables.claims import CONTROL_COUNTER, Batch, ClaimLine, ClaimVersion, Counter, ReplyFile, Transmission
from store.tables.columns import UtcDateTime, sealed_for
from store.tables.encounters import (
    NOTICE,
    NOTICES,
    STOCK_NOTICE,
    Alias,
    CustodyIndex,
    CustodyRecord,
    DeliveryLease,
    Encounter,
    EncounterEvent,
    Patient,
    Staff,
)
from store.tables.inbox import (
    EXPIRES,
    CertificationRow,
    FeedSeen,
    FhirResource,
    FhirSubscription,
    Inbox,
    InboxConflict,
    Quarantine,
    QuarantineKey,
    RecordMerge,
)
from store.tables.installation import Installation, OutboxFinding, RecoveredClaim
from store.tables.seals import SealedBatch, SealedRemoval

__all__ = [
    "CONTROL_COUNTER",
    "EXPIRES",
    "NOTICE",
    "NOTICES",
    "STOCK_NOTICE",
    "UNREPORTED",
    "AlertDelivery",
    "AlertRecord",
    "Alias",
    "AuditEntry",
    "Batch",
    "CertificationRow",
    "ClaimLine",
    "ClaimVersion",
    "Counter",
    "CustodyIndex",
    "CustodyRecord",
    "DeliveryLease",
    "EmergencyAccess",
    "Encounter",
    "EncounterEvent",
    "FeedSeen",
    "FhirResource",
    "FhirSubscription",
    "Inbox",
    "InboxConflict",
    "Installation",
    "OutboxFinding",
    "Patient",
    "Quarantine",
    "QuarantineKey",
    "RecordMerge",
    "RecoveredClaim",
    "ReplyFile",
    "SealedBatch",
    "SealedRemoval",
    "SessionEnded",
    "Staff",
    "Transmission",
    "UtcDateTime",
    "WebhookSeen",
    "sealed_for",
]
