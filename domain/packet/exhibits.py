"""The exhibits: therapies, documents, gates, certificates, authorizations and the chain of identity, as recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.decision.decide import services
from domain.encounter.context import EncounterContext
from domain.encounter.gates.readiness import CERTIFICATES, certificate, holder_of, layers
from domain.events.base import Stage
from domain.packet.model import (
    Approval,
    Certificate,
    Chain,
    FiledDocument,
    JudgedRequirement,
    JudgedStage,
    Link,
    Therapy,
)
from domain.packet.wording import Words

CERTIFIED = frozenset({Stage.APHERESIS, Stage.INFUSION})
SCANNED = ("coi_id", "bag_id", "din", "lot", "ndc", "container", "waybill", "logger", "certificate")
"""The identifiers scanned or entered at a transfer, in reading order."""


class Linked(Protocol):
    """A link of the chain as stored."""

    position: int
    kind: str
    occurred: datetime
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class StoredChain:
    """The chain as stored: every current link with its content, and the result of checking the hashes."""

    standing: Sequence[tuple[Linked, Mapping[str, Any]]]
    links: int
    head: str | None
    first_broken: int | None


def therapies(context: EncounterContext, words: Words, named: bool) -> tuple[Therapy, ...]:
    """The prior therapy log of the referral, with the fields that each line is missing."""
    referral = context.record.referral
    if referral is None:
        return ()
    return tuple(
        Therapy(
            line=one.line,
            regimen=one.regimen,
            therapy_class=words.key(one.therapy_class),
            agent=words.key(one.agent) if one.agent else None,
            started=one.started,
            stopped=one.stopped,
            response=one.response,
            stop_reason=words.key(one.stop_reason.value) if one.stop_reason else None,
            lacks=tuple(
                name.replace("_", " ")
                for name in ("started", "stopped", "response", "stop_reason")
                if getattr(one, name) is None
            ),
            event=referral.event_id,
        )
        for one in sorted(referral.data.prior_therapies, key=lambda t: (t.line, t.regimen))
    )


def documents(context: EncounterContext, words: Words, named: bool) -> tuple[FiledDocument, ...]:
    """Every document on file, oldest first."""
    return tuple(
        FiledDocument(
            kind=(kind := str(getattr(filed, "kind", ""))),
            title=words.document(kind),
            dated=filed.dated,
            values=words.values(filed),
            document=filed.document if named else None,
            event=event,
        )
        for filed, event in context.record.evidence
    )


def judged_stages(view: Mapping[str, Any]) -> tuple[JudgedStage, ...]:
    """The gates as the last decision judged them."""
    return tuple(
        JudgedStage(
            stage=gate["stage"],
            on=gate["on"],
            open=gate["open"],
            asked=tuple(
                JudgedRequirement(
                    key=one["key"],
                    rule=one["rule"],
                    title=one["title"],
                    met=one["met"],
                    enforcement=one["enforcement"],
                    overridden=one["key"] in gate.get("overridden", ()),
                    missing="" if one["met"] else one["missing"],
                    citation=one["citation"],
                    events=tuple(one.get("evidence", ())),
                )
                for one in gate.get("requirements", ())
                if one["enforcement"] != "off"
            ),
        )
        for gate in view.get("gates", ())
    )


def certificates(context: EncounterContext, words: Words, named: bool) -> tuple[Certificate, ...]:
    """For collection and infusion, each certificate that the rulebook requires, and the one valid on the day."""
    return tuple(_certificates(context, words, named))


def _certificates(context: EncounterContext, words: Words, named: bool) -> Iterator[Certificate]:
    for module, service in services(context):
        if module.STAGE not in CERTIFIED:
            continue
        then = context.as_of(service)
        for row in layers(then, service):
            if row.layer not in CERTIFICATES:
                continue
            found = certificate(then, row, service)
            change = found.change if found else None
            holder = holder_of(then, row, service)
            yield Certificate(
                stage=service.stage.value,
                on=service.on,
                title=row.title,
                layer=row.layer,
                holder=words.facility(holder) if holder else words.key(row.holder),
                standing=found is not None,
                product=words.product(change.product) if change and change.product else None,
                valid_from=change.valid_from if change else None,
                valid_to=change.valid_to if change else None,
                document=change.document if change and named else None,
                event=found.event if found else None,
                citation=row.citation,
            )


def approvals(context: EncounterContext, named: bool) -> tuple[Approval, ...]:
    """Every authorization, in the order of its decision."""
    return tuple(
        Approval(
            number=one.number if named else None,
            decision=one.decision.value if one.decision else None,
            valid_from=one.valid_from,
            valid_to=one.valid_to,
            submitted_at=one.submitted_at,
            decided_at=one.decided_at,
            follows_another=one.replaces is not None,
            events=one.events,
        )
        for one in context.record.authorizations
    )


def chain(kept: StoredChain, words: Words) -> Chain:
    """The chain of identity in clinical order."""
    return Chain(
        verified=kept.first_broken is None,
        first_broken=kept.first_broken,
        links=kept.links,
        head=kept.head,
        standing=tuple(_link(link, content, words) for link, content in kept.standing),
    )


def _link(link: Linked, content: Mapping[str, Any], words: Words) -> Link:
    step = str(content.get("step", link.kind))
    label = content.get("label") or {}
    scanned = {**{key: content.get(key) or label.get(key) for key in SCANNED}, "hcpcs": label.get("hcpcs")}
    facility = content.get("facility")
    return Link(
        position=link.position,
        kind=link.kind,
        step=step,
        title=words.step(step),
        at=content.get("at") or link.occurred,
        where=content.get("location") or (words.facility(facility) if facility else None),
        by=_people(content),
        identifiers={key: str(value) for key, value in scanned.items() if value is not None},
        condition=tuple(_condition(content)),
        reason=content.get("reason"),
        attested_by=content.get("attested_by"),
        event=content.get("event"),
        previous_hash=link.previous_hash,
        hash=link.hash,
    )


def _people(content: Mapping[str, Any]) -> tuple[str, ...]:
    named = [content.get("by"), content.get("second_verifier"), *content.get("verified_by", ()), content.get("signer")]
    return tuple(dict.fromkeys(str(one) for one in named if one))


def _condition(content: Mapping[str, Any]) -> Iterator[str]:
    if temperature := content.get("temperature"):
        yield f"{temperature['min']} to {temperature['max']} °C"
    if (seal := content.get("seal_intact")) is not None:
        yield "seal intact" if seal else "seal broken"
    if (accepted := content.get("accepted")) is not None:
        yield "accepted" if accepted else "not accepted"
    if content.get("viable_car_cells") is not None:
        yield f"{content['viable_car_cells']:,} viable CAR-positive T cells"
    if content.get("expires_on"):
        yield f"expires {content['expires_on']}"
