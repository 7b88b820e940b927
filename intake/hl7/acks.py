"""Acknowledgements: AA taken and durable, AE the content is at fault, AR send it again or not at all. The error is named."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from intake.hl7.message import Message

NEWEST = "2.5.1"
ERR_WITH_TEXT = ("2.5", "2.5.1")
SELF = "CART-ENCOUNTER"


class Code(StrEnum):
    """MSA-1."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


class Fault(StrEnum):
    """ERR-3 (HL7 table 0357)."""

    SEGMENT = "100^Segment sequence error"
    FIELD = "102^Data type error"
    TYPE = "200^Unsupported message type"
    DUPLICATE = "205^Duplicate key identifier"
    INTERNAL = "207^Application internal error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message is answered. `text` names fields and cures, never a value."""

    code: Code
    text: str = ""
    fault: Fault | None = None


def acknowledge(message: Message | None, verdict: Verdict, now: datetime) -> bytes:
    """The acknowledgement of a message; of None where nothing of it could be read.

    Args:
        now: zoned; receivers compare it with their own clock.
    """
    version = (message.version if message else "") or NEWEST
    trigger = message.trigger[1] if message else ""
    kind = f"ACK^{_escaped(trigger)}" if trigger else "ACK"
    stamp = now.strftime("%Y%m%d%H%M%S%z")
    names = [_of(message, "MSH-3.1"), _of(message, "MSH-4.1")]
    number = secrets.token_hex(8)
    mode = _of(message, "MSH-11.1") or "P"
    lines = [
        f"MSH|^~\\&|{SELF}||{names[0]}|{names[1]}|{stamp}||{kind}|{number}|{mode}|{version}",
        f"MSA|{verdict.code}|{_of(message, 'MSH-10')}|{_escaped(verdict.text)}",
    ]
    if verdict.fault is not None and version in ERR_WITH_TEXT:
        lines.append(f"ERR|||{verdict.fault}^HL70357|E||||{_escaped(verdict.text)}")
    return "".join(line + "\r" for line in lines).encode()


def _of(message: Message | None, path: str) -> str:
    return _escaped((message.get(path) or "") if message else "")


def _escaped(text: str) -> str:
    """For our delimiters; control characters end nothing here."""
    plain = "".join(character for character in text if character.isprintable())
    for character, code in (("\\", "E"), ("|", "F"), ("^", "S"), ("~", "R"), ("&", "T")):
        plain = plain.replace(character, f"\\{code}\\") if character != "\\" else plain.replace("\\", "\\E\\")
    return plain
