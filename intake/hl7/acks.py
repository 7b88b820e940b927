"""Acknowledgements: AA taken and durable, AE the content is at fault, AR send it again or not at all. The error is named.

One answer to each message, with the codes of the application, whatever MSH-15 and MSH-16 ask for: a sender in enhanced mode
that waits for a commit takes an AA for one, and no sender has to guess whether silence meant yes.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from intake.faults import Fault
from intake.hl7.message import CODE as EVENT
from intake.hl7.message import Message

NEWEST = "2.5.1"
ERR_IN_ONE_FIELD = ("2.1", "2.2", "2.3", "2.3.1", "2.4")
"""Versions whose ERR segment names error and place in ERR-1; those after them have fields of their own, and a text."""

WITHOUT_STRUCTURE = ("2.1", "2.2", "2.3")

SELF = "CART-ENCOUNTER"
TABLE = "HL70357"
_PLACE = re.compile(r"^([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d{1,2}))?\b")


class Code(StrEnum):
    """MSA-1."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message is answered. `text` begins with the field at fault and names the next step, never a value."""

    code: Code
    text: str = ""
    fault: Fault | None = None


def acknowledge(message: Message | None, verdict: Verdict, now: datetime) -> bytes:
    """The acknowledgement of a message; of None where nothing of it could be read.

    Args:
        message: the message, or what could be read of its header.
        now: zoned; receivers compare it with their own clock.
    """
    version = (message.version if message else "") or NEWEST
    kind = _kind(message.trigger[1] if message else "", version)
    mode = _of(message, "MSH-11.1") or "P"
    lines = [
        _header("MSH", message, now) + f"||{kind}|{secrets.token_hex(8)}|{mode}|{_escaped(version)}",
        f"MSA|{verdict.code}|{_of(message, 'MSH-10')}|{_escaped(verdict.text)}",
    ]
    if verdict.fault is not None:
        lines.append(_error(verdict, verdict.fault, version))
    return "".join(line + "\r" for line in lines).encode()


def _kind(trigger: str, version: str) -> str:
    """MSH-9: with the trigger event it answers, where that is one, and from 2.3.1 on with the message structure."""
    if not EVENT.match(trigger):
        return "ACK"
    return f"ACK^{trigger}" if version in WITHOUT_STRUCTURE else f"ACK^{trigger}^ACK"


def acknowledge_batch(answers: list[bytes], now: datetime) -> bytes:
    """The answers to the messages of a batch, as a batch."""
    header = _header("BHS", None, now)
    return b"".join([f"{header}\r".encode(), *answers, f"BTS|{len(answers)}\r".encode()])


def _header(name: str, message: Message | None, now: datetime) -> str:
    stamp = now.strftime("%Y%m%d%H%M%S%z")
    return f"{name}|^~\\&|{SELF}||{_of(message, 'MSH-3.1')}|{_of(message, 'MSH-4.1')}|{stamp}"


def _error(verdict: Verdict, fault: Fault, version: str) -> str:
    """ERR: the place in the message, the error, the text."""
    found = _PLACE.match(verdict.text)
    segment, field, component = found.groups() if found else ("", "", "")
    if version in ERR_IN_ONE_FIELD:
        code, text = fault.value.split("^")
        return f"ERR|{segment}^{1 if segment else ''}^{field}^{code}&{text}&{TABLE}"
    place = f"{segment}^1^{field}^1^{component or ''}".rstrip("^") if segment else ""
    return f"ERR||{place}|{fault}^{TABLE}|E||||{_escaped(verdict.text)}"


def _of(message: Message | None, path: str) -> str:
    return _escaped((message.get(path) or "") if message else "")


def _escaped(text: str) -> str:
    """For our delimiters; control characters end nothing here."""
    plain = "".join(character for character in text if character.isprintable()).replace("\\", "\\E\\")
    for character, code in (("|", "F"), ("^", "S"), ("~", "R"), ("&", "T")):
        plain = plain.replace(character, f"\\{code}\\")
    return plain
