"""The evidence packet: the records of an encounter for a payer or an auditor.

Belongs here: the packet as a document, and the pure functions that build it from facts, rules, claims and the chain of
identity. Does not belong here: reading stores and the vault (`store.queries.packet_records`), drawing pages (`app.pdf`).
"""

from __future__ import annotations

from domain.packet.build import Sources, build
from domain.packet.model import Packet

__all__ = ["Packet", "Sources", "build"]
