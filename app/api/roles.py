"""The access table: the rights of each role."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Role of a caller."""

    FEED = "feed"
    COORDINATOR = "coordinator"
    BILLER = "biller"
    LAB = "lab"
    AUDITOR = "auditor"
    ADMIN = "admin"
    EMERGENCY = "emergency"


class Right(StrEnum):
    """A right that an endpoint requires."""

    SEND_EVENTS = "send_events"
    PREFLIGHT = "preflight"
    READ_ENCOUNTERS = "read_encounters"
    READ_TIMELINE = "read_timeline"
    READ_CLAIMS = "read_claims"
    MAKE_PACKETS = "make_packets"
    READ_ALERTS = "read_alerts"
    ACKNOWLEDGE_ALERTS = "acknowledge_alerts"
    READ_QUARANTINE = "read_quarantine"
    REPLAY_QUARANTINE = "replay_quarantine"
    READ_AUDIT = "read_audit"
    EMERGENCY_ACCESS = "emergency_access"


_STAFF = frozenset({Role.COORDINATOR, Role.BILLER, Role.LAB, Role.ADMIN})
_READERS = _STAFF | {Role.AUDITOR}

TABLE: Final[Mapping[Right, frozenset[Role]]] = {
    Right.SEND_EVENTS: frozenset({Role.FEED, Role.ADMIN}),
    Right.PREFLIGHT: frozenset({Role.COORDINATOR, Role.BILLER, Role.ADMIN}),
    Right.READ_ENCOUNTERS: _READERS,
    Right.READ_TIMELINE: frozenset({Role.COORDINATOR, Role.LAB, Role.AUDITOR, Role.ADMIN}),
    Right.READ_CLAIMS: frozenset({Role.COORDINATOR, Role.BILLER, Role.AUDITOR, Role.ADMIN}),
    Right.MAKE_PACKETS: frozenset({Role.COORDINATOR, Role.BILLER, Role.AUDITOR, Role.ADMIN}),
    Right.READ_ALERTS: _READERS,
    Right.ACKNOWLEDGE_ALERTS: _STAFF,
    Right.READ_QUARANTINE: frozenset({Role.COORDINATOR, Role.AUDITOR, Role.ADMIN}),
    Right.REPLAY_QUARANTINE: frozenset({Role.COORDINATOR, Role.ADMIN}),
    Right.READ_AUDIT: frozenset({Role.AUDITOR, Role.ADMIN}),
    Right.EMERGENCY_ACCESS: frozenset({Role.EMERGENCY}),
}

SEE_IDENTITY: Final = _STAFF
"""Roles that may see a patient's identity on the board and in evidence packets; it is withheld from others."""


def may(roles: frozenset[Role], right: Right) -> bool:
    """Returns True if one of the roles has the right."""
    return bool(roles & TABLE[right])
