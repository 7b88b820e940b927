"""Packets of encounters, built from a story without a store."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from activities.encounter_view import view_of
from domain.billing.submission.responses import PayerResponse
from domain.custody.entries import CustodyEntry
from domain.encounter.facts import fold
from domain.events.revenue import Adjustment
from domain.packet import Packet, Sources, build
from domain.packet.billing import Version
from domain.packet.exhibits import StoredChain
from domain.packet.model import Person
from domain.rulebook.rows import Denial
from tests.kit.rules import rulebook
from tests.kit.stories import Story

PERSON = Person(
    family="Nováková",
    given="Zoë",
    birth_date=date(1961, 3, 4),
    sex="female",
    mrn="MRN-77",
    member_id="MEM-77",
    address="1 Example Street, Albany, NY 12207",
)


@dataclass
class Kin:
    """A link without a store."""

    position: int
    kind: str
    occurred: datetime
    previous_hash: str
    hash: str


def kept(entries: tuple[CustodyEntry, ...]) -> StoredChain:
    links = [Kin(n, "record", one.occurred, f"{n - 1:064d}", f"{n:064d}") for n, one in enumerate(entries, start=1)]
    return StoredChain(
        [(link, one.content) for link, one in zip(links, entries, strict=True)], len(links), f"{len(links):064d}", None
    )


def sources(story: Story, day: int = 40, *, named: bool = True, **changes: Any) -> Sources:
    """The records of a story, with the claims it makes."""
    decision = story.decide(day)
    versions = [
        Version(claim, 1, "emitted", "1", f"CE{number:010d}") for number, claim in enumerate(decision.claims, start=1)
    ]
    made = Sources(
        encounter_id="enc_story",
        sequence=len(story.facts),
        as_of=story.at(day, 23),
        facts=fold(story.facts),
        holders=story.holders,
        site=story.site,
        rules=rulebook(story.edition),
        view=view_of(decision),
        chain=kept(decision.custody),
        versions=versions,
        responses=(),
        identity="shown" if named else "withheld",
        patient=PERSON if named else None,
    )
    return dataclasses.replace(made, **changes)


def denied(story: Story, number: int, letter: str = "C", **changes: Any) -> Packet:
    """The packet of a claim that came back with every reason and remark of a denial of the guide."""
    made = sources(story, **changes)
    version = next(v for v in made.versions if v.document.letter == letter)
    row = next(row for row in made.rules.table(Denial) if row.number == number)
    amounts = [Adjustment(group="CO", carc=carc, amount=Decimal("10.00")) for carc in row.carc]
    response = PayerResponse(
        event="evt_reply",
        control=version.control_number or "",
        at=made.as_of,
        kind="835",
        accepted=True,
        status="4",
        payer_number="PAYER-1",
        adjustments=tuple(amounts),
        remarks=row.rarc,
    )
    return build(dataclasses.replace(made, responses=(response,), denied=version))
