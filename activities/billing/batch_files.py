"""Claims to one trading partner in one interchange: which batch takes a claim, when it closes, and its file."""

from __future__ import annotations

from collections.abc import Sequence

from activities.billing.render import CannotRender, ClaimFiles, payer_of, rendered
from domain.billing.x12 import Part
from domain.rulebook.book import NoRule
from domain.site import PayerId
from store.tables import Transmission


def text_of(numbered: Sequence[tuple[ClaimFiles, Transmission]]) -> tuple[str, list[Transmission]]:
    """The file of a batch and the transmissions that are in it: one whose claim can no longer be written is left out.

    Raises:
        CannotRender: none can be written.
    """
    parts: list[Part] = []
    inside: list[Transmission] = []
    for files, sent in numbered:
        try:
            part = files.part(sent.version, files.numbers(sent), sent.mode)
            rendered([part], files.site, _payer(files, sent))
        except (CannotRender, NoRule):
            continue
        parts.append(part)
        inside.append(sent)
    if not parts:
        raise CannotRender("no claim of the batch can be written any more")
    files, first = numbered[0]
    return rendered(parts, files.site, _payer(files, first)), inside


def _payer(files: ClaimFiles, sent: Transmission) -> PayerId:
    return payer_of(files.report(sent.version).version.claim, files.site)
