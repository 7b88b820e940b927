"""Errors of a message in HL7 terms: table 0357; table 0008 is `acks.Code`."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """ERR-3 of version 2.5, and the code of ERR-1 before it (HL7 table 0357)."""

    SEGMENT = "100^Segment sequence error"
    MISSING = "101^Required field missing"
    FIELD = "102^Data type error"
    TABLE = "103^Table value not found"
    TYPE = "200^Unsupported message type"
    EVENT = "201^Unsupported event code"
    PROCESSING = "202^Unsupported processing id"
    VERSION = "203^Unsupported version id"
    DUPLICATE = "205^Duplicate key identifier"
    INTERNAL = "207^Application internal error"


class _Faulty(ValueError):
    """States which field is wrong and how to correct it, never its value."""

    usual = Fault.FIELD

    def __init__(self, reason: str, fault: Fault | None = None) -> None:
        super().__init__(reason)
        self.fault = fault or self.usual


class NotHl7(_Faulty):
    """The bytes are no whole HL7 v2 message."""

    usual = Fault.SEGMENT


class NotUsable(_Faulty):
    """The message can be read but not used."""


class NotListed(NotUsable):
    """The location is not in the mapping; a feed of the whole hospital has many of them."""

    usual = Fault.TABLE


class Unsupported(_Faulty):
    """The message type, trigger, version or mode is none that this feed may send."""

    usual = Fault.TYPE
