"""A claim as an X12 file: 837I 005010X223A2 or 837P 005010X222A1, a transaction to a claim (corrections H).

Belongs here: placing the values of a finished claim and of the vault into segments, and checking a file against the guide
maps of `pyx12`. Does not belong here: deciding a value, control numbers, files on disk, sending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

import pyx12.segment
from pyx12.x12file import X12Writer

from domain.billing.model import Claim, Form
from domain.billing.x12 import institutional, professional
from domain.billing.x12.envelope import NotWritable, Segments, headers, opening
from domain.billing.x12.parties import Control, Identity
from domain.billing.x12.validation import validate
from domain.site import PayerId, Site

_ISA = "ISA"
_END_OF_TRANSACTION = ("SE",)
"""The writer puts the count and number of the open transaction in its place; the last one it closes by itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """One claim of an interchange: the document, who it is about, its numbers."""

    claim: Claim
    identity: Identity
    control: Control


def render(claim: Claim, identity: Identity, site: Site, payer: PayerId, control: Control) -> str:
    """The claim as one interchange, segment per line, with counts and trailers written by `pyx12`.

    Raises:
        NotWritable: a name or a number of the patient that no file can carry as it is.
        ValueError: the site file does not know the claim's facility; such a claim is held by an edit.
    """
    return render_batch((Part(claim, identity, control),), site, payer)


def render_batch(parts: Sequence[Part], site: Site, payer: PayerId) -> str:
    """Claims of one form as one interchange, a transaction each; the first one's numbers and moment head it.

    Raises:
        NotWritable, ValueError: as `render`.
    """
    first = parts[0]
    segments: Segments = [*opening(first.claim.form, site, payer, first.control)]
    for part in parts:
        body = professional.body if part.claim.form is Form.CMS1500 else institutional.body
        if part is not first:
            segments.append(_END_OF_TRANSACTION)
        segments += headers(part.claim, site, payer, part.control)
        segments += body(part.claim, part.identity, site, payer, part.control)
    out = StringIO()
    with X12Writer(out, seg_term="~", ele_term="*", subele_term=":", eol="\n", repetition_term="^") as writer:
        for segment in segments:
            writer.Write(pyx12.segment.Segment("*".join(_trimmed(segment)), "~", "*", ":"))
    return out.getvalue()


def _trimmed(segment: tuple[str, ...]) -> tuple[str, ...]:
    """Without empty elements at the end; the interchange header keeps its fixed width."""
    if segment[0] == _ISA:
        return segment
    last = max((index for index, value in enumerate(segment) if value), default=0)
    return segment[: last + 1]


__all__ = ["Control", "Identity", "NotWritable", "Part", "render", "render_batch", "validate"]
