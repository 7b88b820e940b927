"""Formats answers of the gateway as text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Answer = dict[str, Any]
CUSTODY_COLUMNS = ("coi_id", "bag_id", "din", "lot", "ndc")
WAKE = "wake"
"""Kind of a deadline at which only the software checks again; no person has to act."""


def encounter_lines(it: Answer) -> Iterator[str]:
    """Yields an encounter: stage, cleared stages, holds with owners, deadlines, milestones."""
    payer = f"{it['payer']} ({it['payer_class']})" if it["payer"] else "payer unknown"
    yield f"{it['encounter_id']}  {it['status']}  stage {it['stage']}  {it['product'] or 'product unknown'}  {payer}"
    yield f"cleared: {', '.join(it['cleared']) or 'none yet'}"
    if not it["up_to_date"]:
        yield f"facts received: {it['last_sequence']}, processed: {it['decided_sequence']}; repeat the command in a moment"
    if it["vein_to_vein_days"] is not None:
        yield f"vein to vein: {it['vein_to_vein_days']} days"
    if it["outcome"]:
        yield f"outcome: {it['outcome']}"
    yield ""
    yield from hold_lines(it["holds"])
    if it["advisories"]:
        yield ""
        yield from (f"note: {text}" for text in it["advisories"])
    if ahead := [due for due in it["deadlines"] if due["kind"] != WAKE]:
        yield ""
        yield "Deadlines"
        yield from (f"  {moment(due['due'])}  {due['title']}" for due in ahead)
    yield ""
    yield "Milestones"
    yield from milestone_lines(it["milestones"])
    yield ""
    yield f"chain of identity: {_verified(it['custody_verified'])}"


def hold_lines(holds: list[Answer]) -> Iterator[str]:
    """Yields each hold with what is missing, owner, next step and the denial that it prevents."""
    yield f"Holds: {len(holds)}" if holds else "Holds: none"
    for hold in holds:
        yield f"  {hold['id']}"
        yield f"    missing: {hold['missing'] or hold['title']}"
        yield f"    {hold['owner']}: {hold['fix']}"
        prevents = f"; prevents denial #{hold['denial']}" if hold["denial"] else ""
        yield f"    released by {', '.join(hold['releases_on']) or 'a correction'}{prevents}"
        if hold["override"]:
            yield f"    overridden by {hold['override']['role']} until {moment(hold['override']['expires'])}"


def milestone_lines(milestones: list[Answer]) -> Iterator[str]:
    """Yields documented and planned milestones in order of time."""
    for it in milestones:
        yield f"  {moment(it['at'])}  {it['name'].replace('_', ' ')}{'  (planned)' if it['planned'] else ''}"


def timeline_lines(it: Answer) -> Iterator[str]:
    """Yields every record of the chain of identity with its scans, then whether the chain is intact."""
    for record in it["records"]:
        step = (record.get("step") or record["type"]).replace("_", " ")
        scan = record | record.get("label", {})
        scanned = "  ".join(f"{name.removesuffix('_id')} {scan[name]}" for name in CUSTODY_COLUMNS if scan.get(name))
        place = record.get("location") or record.get("facility") or ""
        yield f"{record['position']:>3}  {moment(record['occurred'])}  {step:<22} {place}".rstrip()
        yield f"     {scanned}{_condition(record)}  #{record['hash'][:12]}"
    yield f"{len(it['records'])} records, {_verified(it['verified'], it['first_broken'])}"


def claim_lines(it: Answer) -> Iterator[str]:
    """Yields a claim for a biller: head, diagnoses, procedures, lines, errors."""
    bill = f"type of bill {it['type_of_bill']}" if it["type_of_bill"] else f"place of service {it['place_of_service']}"
    drg = f"  MS-DRG {it['drg']['drg'] if isinstance(it['drg'], dict) else it['drg']}" if it["drg"] else ""
    yield f"Claim {it['letter']}/{it['ordinal']}  version {it['version']}  {it['state']}  {it['form']}  {bill}{drg}"
    yield f"  {it['payer']}  {it['statement_from']} to {it['statement_through']}  total {it['total']}"
    if it["diagnoses"]:
        yield "  diagnoses: " + ", ".join(f"{d['code']} ({d['role']})" for d in it["diagnoses"])
    if it["procedures"]:
        yield "  procedures: " + ", ".join(f"{p['code']} on {p['date']}" for p in it["procedures"])
    for line in it["lines"]:
        code = " ".join([line["hcpcs"] or "", *line["modifiers"]]).strip()
        day = line["date_of_service"] or ""
        yield (
            f"  {line['number']:>3}  {line['revenue_code'] or '':<5}{code:<12}{line['units']:>5} "
            f"{line['charge']:>12}  {day:<11} {line['description']}"
        )
    yield from (f"  included: {text}" for text in it["folded"])
    yield from (f"  waiting for {text}" for text in it["waiting_for"])
    for edit in (*it["errors"], *it["warnings"]):
        yield f"  {edit['severity']}: {edit['message']}"
        yield f"    {edit['owner']}: {edit['fix']}"
    yield from (f"  note: {text}" for text in it["advisories"])


def receipt_lines(it: Answer) -> Iterator[str]:
    """Yields counts by disposition and encounter, and each event without an encounter with its reasons."""
    receipts = it.get("receipts", [it])
    fine = [one for one in receipts if one["encounter_id"] and one["disposition"] in ("accepted", "duplicate")]
    for (disposition, encounter), count in Counter((one["disposition"], one["encounter_id"]) for one in fine).items():
        yield f"{count} {disposition}  {encounter}"
    for one in receipts:
        if one not in fine:
            where = one["quarantine_id"] or one["event_id"] or ""
            reasons = [f"{problem['path']}: {problem['message']}" for problem in one["problems"]] or one["reasons"]
            yield f"{one['disposition']}  {where}  {'; '.join(reasons)}".rstrip()


def moment(text: str | None) -> str:
    """Returns a time in its own UTC offset; a date is returned unchanged."""
    if not text or "T" not in text:
        return text or ""
    at = datetime.fromisoformat(text)
    return f"{at:%Y-%m-%d %H:%M} {f'{at:%z}' if at.utcoffset() else 'UTC'}"


def _condition(record: Answer) -> str:
    parts = []
    if record.get("temperature"):
        parts.append(f"{record['temperature']['min']} to {record['temperature']['max']} °C")
    if record.get("seal_intact") is not None:
        parts.append("seal intact" if record["seal_intact"] else "SEAL BROKEN")
    return f"  ({', '.join(parts)})" if parts else ""


def _verified(intact: bool, first_broken: object = None) -> str:
    if intact:
        return "the chain is intact"
    return f"THE CHAIN IS BROKEN at record {first_broken}" if first_broken else "THE CHAIN IS BROKEN"
