"""Evidence packets of an encounter or of a denied claim, as JSON or PDF."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from app.api import reading
from app.api.actors import Actor
from app.api.claims import Letter, Ordinal
from app.api.parts import PacketMaker, Parts, PartsOf
from app.api.problems import Refusal, documented
from app.api.roles import SEE_IDENTITY
from app.pdf import draw
from domain.packet import Packet
from domain.packet.build import NotDenied
from domain.rulebook.book import NoRule
from store.queries.packet_records import NoPacket, packet_of
from store.vault import audit

PDF, JSON = "application/pdf", "application/json"
FORMS: dict[int | str, dict[str, Any]] = {
    **documented(404, 409, 422),
    200: {
        "description": "The packet as JSON, or as PDF if requested",
        "content": {PDF: {"schema": {"type": "string"}}},
    },
}

router = APIRouter(tags=["packets"])
"""The packet of a denial is registered first: an order number may contain a slash, so a reference matches the whole path."""

Shown = Annotated[
    Literal["shown", "withheld"],
    Query(
        description="Whether the packet has the patient's identity; always `withheld` for a role that may not see it"
    ),
]


@router.get(
    "/v1/encounters/{ref:path}/claims/{letter}/{ordinal}/packet",
    responses=FORMS,
    response_model=Packet,
    summary="Get the evidence packet of a denial",
)
def get_denial_packet(
    ref: str,
    letter: Letter,
    ordinal: Ordinal,
    request: Request,
    parts: PartsOf,
    actor: PacketMaker,
    identity: Shown = "shown",
) -> Response:
    """Returns the packet for a denial: matching denials, documents to submit, and missing documents."""
    return answer(parts, actor, ref, (letter, ordinal), PDF in request.headers.get("accept", ""), identity == "shown")


@router.get(
    "/v1/encounters/{ref:path}/packet",
    responses=FORMS,
    response_model=Packet,
    summary="Get the evidence packet of an encounter",
)
def get_packet(ref: str, request: Request, parts: PartsOf, actor: PacketMaker, identity: Shown = "shown") -> Response:
    """Returns the records that an auditor requires; with `Accept: application/pdf` as PDF."""
    return answer(parts, actor, ref, None, PDF in request.headers.get("accept", ""), identity == "shown")


def answer(
    parts: Parts,
    actor: Actor,
    ref: str,
    claim: tuple[str, int] | None,
    pages: bool,
    shown: bool,
    purpose: str = "",
) -> Response:
    """Returns the packet as a file; caller, encounter, identity and digest are audited."""
    if parts.site is None or parts.rules is None:
        raise Refusal(409, "this gateway has no site file or rulebook, which packets require; set CART_SITE_FILE")
    encounter = reading.read_encounter(parts, actor, "packet", ref)
    named = shown and bool(actor.roles & SEE_IDENTITY)
    try:
        with parts.db.read(long=True) as session:
            packet = packet_of(session, parts.keys, parts.rules(), parts.site, encounter, named, claim)
    except NoPacket as error:
        raise Refusal(404, str(error)) from None
    except (NotDenied, NoRule) as error:
        raise Refusal(409, str(error)) from None
    body = draw(packet, parts.site.name) if pages else packet.model_dump_json(indent=2).encode() + b"\n"
    digest = hashlib.sha256(body).hexdigest()
    with parts.db.write() as session:
        action = f"packet of {packet.kind}, identity {packet.identity}" + (f" ({purpose})" if purpose else "")
        made = f"made {'pdf' if pages else 'json'} sha256:{digest}"
        audit(session, actor.name, action, encounter.encounter_id, made, parts.clock())
    return Response(body, media_type=PDF if pages else JSON, headers=_named(digest, pages))


def _named(digest: str, pages: bool) -> dict[str, str]:
    """Returns headers with a file name from the digest, without patient data."""
    name = f"evidence-packet-{digest[:12]}.{'pdf' if pages else 'json'}"
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
