"""835 as entries: claims, their lines, and what a payer withheld for a claim (005010X221A1).

That a file balances is `oxedi`'s to say (claim, service line, transfer). Its tables need a data-frame library, so segments
are read here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import oxedi

from domain.billing.x12.entries import Entry, NotUsable, Segment, at, split
from domain.events.revenue import ClaimRecouped, ClaimRemitted

_BALANCE = {
    "claim_balance": "a claim of it does not balance (CLP03, CAS, CLP04)",
    "service_balance": "a service line of it does not balance (SVC02, CAS, SVC03)",
    "transaction_balance": "it does not balance (BPR02, CLP04, PLB)",
}
"""The rules of section 1.10.2 of the implementation guide, by the names that `oxedi` gives them."""
_MIA_REMARKS = (5, 20, 21, 22, 23)
_MOA_REMARKS = (3, 4, 5, 6, 7)
_DRG = 3
_RECOUPED = frozenset({"WO", "72", "CS"})
"""Reasons of a provider adjustment that concern a claim: overpayment recovery, authorized return, adjustment. Interest (L6)
and balances carried forward (FB) are money of the transfer and of no claim."""
_CODES_OF_PROCEDURES = frozenset({"HC", "HP"})


def check_balance(file: str) -> None:
    """Refuse a file that does not balance. The finding names the rule, never an amount.

    Raises:
        NotUsable: a claim, a service line or the transfer does not balance.
    """
    for finding in oxedi.parse(file.encode("ascii")).diagnostics:
        for name, reason in _BALANCE.items():
            if f'"{name}"' in finding.rule:
                raise NotUsable(reason)


def read_835(body: list[Segment]) -> Iterator[Entry]:
    """Every claim of a transfer, and every provider adjustment that names one."""
    trace = next(s for s in body if s[0] == "TRN")
    common: dict[str, Any] = {"payer": at(trace, 3), "on": _day(body)}
    seen: Counter[str] = Counter()
    for part in split([s for s in body if s[0] not in ("PLB", "SE", "LX", "TS2", "TS3")], "CLP"):
        reference = _reference(seen, at(trace, 2), part[0][1], part[0][2])
        data = _claim(part) | {"trace_number": at(trace, 2)}
        yield Entry(ClaimRemitted.event_type, part[0][1], None, data, reference=reference, **common)
    for reason, claim, amount in _provider_adjustments(body):
        data = {"reason": reason, "amount": amount, "trace_number": at(trace, 2)}
        reference = _reference(seen, at(trace, 2), claim, reason)
        yield Entry(ClaimRecouped.event_type, claim, None, data, reference=reference, **common)


def _reference(seen: Counter[str], *names: str) -> str:
    """Transfer, claim and what happened to it; with a count where a transfer says so more than once."""
    name = "/".join(names)
    seen[name] += 1
    return f"{name}/{seen[name]:03d}"


def _day(body: list[Segment]) -> date:
    """The day the payer made the remittance (DTM*405), else the day of the payment (BPR16)."""
    made = next((at(s, 2) for s in body if s[0] == "DTM" and at(s, 1) == "405"), "")
    return date.fromisoformat(made or next(at(s, 16) for s in body if s[0] == "BPR"))


def _claim(part: list[Segment]) -> dict[str, Any]:
    head = part[0]
    remarks = [at(s, 2) for s in part if s[0] == "LQ" and at(s, 1) == "HE"]
    remarks += [at(s, index) for s in part if s[0] == "MIA" for index in _MIA_REMARKS]
    remarks += [at(s, index) for s in part if s[0] == "MOA" for index in _MOA_REMARKS]
    return {
        "status": head[2],
        "paid": head[4],
        "adjustments": list(_adjustments(part)),
        "rarc": list(dict.fromkeys(remark for remark in remarks if remark)),
        **({"patient_responsibility": head[5]} if at(head, 5) else {}),
        **({"payer_claim_number": head[7]} if at(head, 7) else {}),
        **({"crossover": name} if (name := _crossover(part)) else {}),
        **({"drg": head[11]} if len(at(head, 11)) == _DRG and head[11].isdigit() else {}),
        **({"lines": lines} if (lines := [_line(line) for line in split(part, "SVC")]) else {}),
    }


def _crossover(part: list[Segment]) -> str:
    """The secondary payer that the claim was passed on to: an organization, by its name."""
    return next((at(s, 3) for s in part if s[0] == "NM1" and at(s, 1) == "TT" and at(s, 2) == "2"), "")


def _line(part: list[Segment]) -> dict[str, Any]:
    """A service line. Its code is a procedure or, where the line has none, the revenue code itself."""
    head = part[0]
    qualifier, _, code = at(head, 1).partition(":")
    code = code.partition(":")[0]
    revenue = at(head, 4) or (code if qualifier == "NU" else "")
    return {
        **({"revenue_code": revenue.zfill(4)} if revenue.isdigit() else {}),
        **({"hcpcs": code} if qualifier in _CODES_OF_PROCEDURES else {}),
        "charge": at(head, 2),
        "paid": at(head, 3),
        "adjustments": list(_adjustments(part)),
    }


def _adjustments(part: list[Segment]) -> Iterator[dict[str, str]]:
    """Group, reason and amount; a segment holds up to six reasons, of the claim or of one of its lines."""
    for segment in part:
        if segment[0] == "CAS":
            for index in range(2, len(segment), 3):
                if at(segment, index) and at(segment, index + 1):
                    yield {"group": segment[1], "carc": segment[index], "amount": segment[index + 1]}


def _provider_adjustments(body: list[Segment]) -> Iterator[tuple[str, str, str]]:
    """Reason, the claim it names (in its first word: some payers add a member number) and amount."""
    for segment in body:
        if segment[0] == "PLB":
            for index in range(3, len(segment) - 1, 2):
                reason, _, named = segment[index].partition(":")
                if reason in _RECOUPED and named.strip():
                    yield reason, named.split()[0], segment[index + 1]
