"""HL7 messages of the patient of the kit: recorded ones, and stays and merges written for a test."""

from __future__ import annotations

from tests.kit.mllp import recorded

BOOKING, MOVE, CANCEL, ADMISSION = (recorded("story")[number] for number in (0, 1, 3, 7))


MRN = b"MRN-CANARY-77^^^STMARY^MR"


def stay(trigger: str, visit: str = "VISIT-2", kind: str = "I", prior: str = "", at: str = "20260401173000") -> bytes:
    """An admission message; a conversion with its prior visit number where there is one."""
    merge = f"MRG|{MRN.decode()}||||{prior}\r" if prior else ""
    return (
        f"MSH|^~\\&|PRELUDE|STMARY|CART|HUB|20260401180000||ADT^{trigger}^ADT_A01|77|P|2.5.1\r"
        f"EVN|{trigger}|20260401180000||||{at}\rPID|1||{MRN.decode()}||Quetzalcoatl^Xiomara\r{merge}"
        f"PV1|1|{kind}|8W^801^A^STMARY||||||||||||||||{visit}\r"
    ).encode()


def merge(old: str, new: str) -> bytes:
    data = recorded("merge")[0]
    return data.replace(b"MRN-CANARY-NEW", new.encode()).replace(b"MRN-CANARY-77", old.encode())
