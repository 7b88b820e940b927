"""Sections of the packet in a reviewer's order: patient, denial, missing items, then the records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from reportlab.platypus import Flowable, Spacer

from app.pdf.claims import claims
from app.pdf.fonts_styles import ALERT, BODY, HASH, NOTE, SMALL_HEADING, TITLE, heading, para
from app.pdf.references import References
from app.pdf.tables import pairs, table
from domain.packet import Packet
from domain.packet.model import Denied, JudgedRequirement

WITHHELD = {
    "withheld": "withheld in this copy",
    "unknown": "unknown: no referral received",
    "erased": "erased",
}


def sections(packet: Packet, installation: str, title: str) -> list[Flowable]:
    """Returns every section of the packet."""
    refs = References()
    parts = [*_front(packet, installation, title, refs)]
    if packet.denied:
        parts += _denial(packet.denied, refs)
    for part in (_narrative, _therapies, _eligibility, _documents, _certificates, _authorizations, _custody, claims):
        parts += part(packet, refs)
    return [*parts, *_index(refs)]


def when(moment: datetime | date | None) -> str:
    if isinstance(moment, datetime):
        return f"{moment:%Y-%m-%d %H:%M %z}"
    return moment.isoformat() if moment else "–"


def _front(packet: Packet, installation: str, title: str, refs: References) -> Iterator[Flowable]:
    case, who = packet.case, packet.patient
    yield para(title, TITLE)
    yield para(installation, BODY)
    product = f"{case.product} ({case.generic})" if case.generic else case.product
    yield pairs(
        [
            ("Patient", f"{who.family}, {who.given}" if who else WITHHELD[packet.identity]),
            ("Born", when(who.birth_date) if who else None),
            ("Sex", who.sex if who else None),
            ("Record number", who.mrn if who else None),
            ("Member number", who.member_id if who else None),
            ("Address", who.address if who else None),
            ("Payer", f"{case.payer}, {case.plan}" if case.plan else case.payer),
            ("Product", product),
            ("Indication", case.indication),
            ("Diagnosis", case.diagnosis),
            ("Collection center", case.collection_facility),
            ("Infusion center", case.infusion_facility),
            ("Prescriber NPI", case.prescriber_npi),
            ("Vein to vein", f"{case.vein_to_vein_days} days" if case.vein_to_vein_days is not None else None),
            ("Outcome", case.outcome),
            ("Chain of identity", _verified(packet)),
            ("Records", f"all events up to number {packet.records_through}, as of {when(packet.as_of)}"),
            ("Rulebook", f"edition {packet.edition}, digest {packet.rulebook_digest[:16]}"),
        ]
    )
    yield Spacer(0, 6)
    yield para(
        "Every statement is from a record. Numbers in square brackets are the records, listed at the end."
        " Nothing is inferred, and no statement is a clinical judgment. A character missing from the fonts of this file is"
        " shown as its Unicode code point, [U+…].",
        NOTE,
    )


def _verified(packet: Packet) -> str:
    chain = packet.custody
    if not chain.links:
        return "no transfers recorded"
    if chain.verified:
        return f"verified: {chain.links} links, every hash checked, last hash {(chain.head or '')[:16]}"
    return f"BROKEN at link {chain.first_broken} of {chain.links}"


def _denial(denied: Denied, refs: References) -> Iterator[Flowable]:
    yield from heading("The denial")
    yield pairs(
        [
            ("Claim", f"{denied.claim}, version {denied.version}"),
            ("Control number", denied.control_number),
            ("Payer claim control number", denied.payer_number),
            ("Decision", f"{denied.state}, {when(denied.on)}"),
            ("Charged", f"${denied.total:,.2f}"),
            ("Paid", f"${denied.paid:,.2f}"),
            ("Denied", f"${denied.refused:,.2f}"),
            ("Reasons (CARC)", ", ".join(denied.carc)),
            ("Remarks (RARC)", ", ".join(denied.rarc)),
            ("Last day to appeal", when(denied.appeal_by) if denied.appeal_by else "not known for this payer"),
        ]
    )
    if not denied.denials:
        yield para("These reasons match none of the twelve known denials; see the payer's reasons above.", BODY)
    for one in denied.denials:
        yield from heading(f"Denial #{one.number}: {one.title}", SMALL_HEADING)
        yield para(f"Cause: {one.cause}.", BODY)
        yield para(f"What to do: {one.fix} ({one.citation})", BODY)
        if one.doubt:
            yield para(one.doubt, NOTE)
    if denied.submissions:
        yield from heading("Documents to submit")
        rows = [
            (
                f"#{s.denial}",
                s.title,
                "in this packet" if s.held else "MISSING",
                s.where or s.missing,
                refs.of(s.events),
            )
            for s in denied.submissions
        ]
        yield table(("Denial", "Document", "Status", "Location", "Records"), (0.7, 3.2, 1.1, 3, 1.4), rows)
    yield from heading("Missing documents")
    if not denied.submissions:
        yield para("No rule lists documents for these reasons.", BODY)
    elif not denied.missing:
        yield para("None: the records have every document that is required for this denial.", BODY)
    for text in denied.missing:
        yield para(text[:1].upper() + text[1:], ALERT)


def _narrative(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Narrative")
    rows = [(when(s.on), s.text + _imported(s.imported), refs.of(s.events)) for s in packet.narrative]
    yield table(("Date", "Documented", "Records"), (1, 7.2, 1), rows) if rows else para("Nothing documented.", BODY)


def _imported(imported: bool) -> str:
    return " (Attested at the cutover.)" if imported else ""


def _therapies(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Prior therapy log")
    if not packet.therapies:
        yield para("No prior therapy documented.", BODY)
        return
    rows = [
        (
            t.line,
            t.regimen,
            t.agent or t.therapy_class,
            when(t.started),
            when(t.stopped),
            t.response,
            t.stop_reason,
            refs.of((t.event,)),
        )
        for t in packet.therapies
    ]
    heads = ("Line", "Regimen", "Agent", "Started", "Stopped", "Response", "Reason stopped", "Records")
    yield table(heads, (0.5, 2.2, 1.6, 1.1, 1.1, 1.6, 1.2, 0.8), rows)


def _eligibility(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Eligibility and gates")
    days = [f"{g.stage} for {when(g.on)} {'open' if g.open else 'CLOSED'}" for g in packet.eligibility]
    yield para(f"Gates: {'; '.join(days)}." if days else "No gate checked yet.", BODY)
    yield para("Checks titled as a problem show 'not found' if all is well.", NOTE)
    merged: dict[tuple[str, str, str], tuple[JudgedRequirement, list[str], list[str]]] = {}
    for gate in packet.eligibility:
        for one in gate.asked:
            _, stages, events = merged.setdefault((one.key, _state(one), one.missing), (one, [], []))
            stages.append(gate.stage)
            events += one.events
    rows = [
        (one.title, _state(one), ", ".join(stages), one.missing, one.citation, refs.of(dict.fromkeys(events)))
        for one, stages, events in merged.values()
    ]
    if rows:
        heads = ("Requirement", "Status", "Gates", "Missing", "Source", "Records")
        yield table(heads, (2.7, 0.9, 1.8, 1.8, 2, 1), rows)


def _state(one: JudgedRequirement) -> str:
    """Returns the status; a check of an alert is titled as a problem, so met means not found."""
    if one.met:
        return "not found" if one.rule.startswith("alerts.") else "met"
    return "overridden" if one.overridden else "NOT MET" if one.enforcement == "hold" else "not met, advised"


def _documents(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Documents on file")
    rows = [
        (
            p.kind.replace("_", " "),
            when(p.dated),
            ", ".join(f"{k.replace('_', ' ')}: {v}" for k, v in p.values.items()),
            p.document or "withheld",
            refs.of((p.event,)),
        )
        for p in packet.papers
    ]
    if not rows:
        yield para("No documents on file.", BODY)
        return
    yield table(("Document", "Dated", "Values", "Number", "Records"), (2, 1, 3.6, 1.6, 0.8), rows)


def _certificates(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Certificates on the service dates")
    rows = [
        (
            f"{c.stage} {when(c.on)}",
            c.title,
            c.holder,
            f"{when(c.valid_from)} to {when(c.valid_to) if c.valid_to else 'open'}" if c.standing else "NONE COUNTED",
            c.document or "",
            refs.of((c.event,)) if c.event else "site file" if c.standing else "",
        )
        for c in packet.certificates
    ]
    if not rows:
        yield para("No certificate required yet.", BODY)
        return
    heads = ("For", "Certificate", "Holder", "Valid", "Document", "Records")
    yield table(heads, (1.3, 3, 1.8, 1.6, 1, 0.9), rows)


def _authorizations(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Authorizations")
    rows = [
        (
            a.number or "withheld",
            a.decision or "requested",
            when(a.submitted_at),
            when(a.decided_at),
            f"{when(a.valid_from)} to {when(a.valid_to)}",
            refs.of(a.events),
        )
        for a in packet.authorizations
    ]
    if not rows:
        yield para("No authorization requested.", BODY)
        return
    heads = ("Number", "Decision", "Requested", "Decided", "Valid", "Records")
    yield table(heads, (1.5, 1, 1.7, 1.7, 1.9, 0.9), rows)


def _custody(packet: Packet, refs: References) -> Iterator[Flowable]:
    yield from heading("Chain of identity and custody")
    yield para(f"{_verified(packet)[:1].upper()}{_verified(packet)[1:]}.", BODY)
    if not packet.custody.standing:
        return
    rows = [
        (
            link.position,
            when(link.at),
            f"{link.title}{f' ({link.kind}: {link.reason})' if link.kind != 'record' and link.reason else ''}",
            "\n".join(filter(None, (link.where, ", ".join(link.by)))),
            "\n".join(f"{key.replace('_id', '').replace('_', ' ')} {value}" for key, value in link.identifiers.items()),
            "\n".join((*link.condition, *((f"attested by {link.attested_by}",) if link.attested_by else ()))),
            refs.of((link.event,)) if link.event else "",
        )
        for link in packet.custody.standing
    ]
    heads = ("Link", "Time", "Step", "Location, staff", "Scanned", "Condition", "Records")
    yield table(heads, (0.5, 1.3, 1.9, 2.2, 1.9, 1.4, 0.8), rows)
    yield from heading("Hashes of the links (SHA-256)", SMALL_HEADING)
    hashes = [
        (link.position, para(link.hash, HASH), para(link.previous_hash, HASH)) for link in packet.custody.standing
    ]
    yield table(("Link", "Hash", "Hash of the previous link"), (0.5, 5, 5), hashes)


def _index(refs: References) -> Iterator[Flowable]:
    yield from heading("Index of records")
    every = [f"[{number}] {event}" for event, number in refs.numbers.items()]
    rows = [every[start : start + 3] + [""] * (3 - len(every[start : start + 3])) for start in range(0, len(every), 3)]
    yield table(("Record", "Record", "Record"), (1, 1, 1), rows) if rows else para("None.", BODY)
