"""Draws a packet as PDF. The same packet gives the same bytes: no clock, no random numbers, nothing of the reader."""

from __future__ import annotations

from io import BytesIO
from threading import Lock
from typing import Any

from reportlab.lib.pagesizes import LETTER
from reportlab.lib.units import inch
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from app.pdf.fonts_styles import QUIET, REGULAR, RULE, fonts, printable
from app.pdf.sections import sections
from domain.packet import Packet

ONE_AT_A_TIME = Lock()
"""The library registers fonts for the whole process."""

MARGIN = 0.7 * inch
FOOT = 0.45 * inch


def draw(packet: Packet, installation: str) -> bytes:
    """Returns the PDF of a packet.

    Args:
        installation: the installation's name in the site file.

    Title and language are set for screen readers and every heading is a bookmark; the pages have no structure tags.
    """
    title = title_of(packet)
    with ONE_AT_A_TIME:
        fonts()
        return _drawn(packet, installation, title)


def _drawn(packet: Packet, installation: str, title: str) -> bytes:
    out = BytesIO()
    document = _Document(
        out,
        pagesize=LETTER,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN + FOOT / 2,
        title=title,
        author=printable(installation),
        subject="Evidence packet of a CAR-T encounter",
        creator="cart-encounter",
        lang="en-US",
        displayDocTitle=True,
        invariant=1,
        initialFontName=REGULAR,
    )
    frame = Frame(MARGIN, MARGIN + FOOT / 2, document.width, document.height, 0, 0, 0, 0, id="page")
    document.addPageTemplates([PageTemplate(id="page", frames=[frame])])
    foot = f"{printable(installation)} · {title} · records through event {packet.records_through}"
    document.build(sections(packet, installation, title), canvasmaker=_numbered(foot))
    return out.getvalue()


def title_of(packet: Packet) -> str:
    """Returns the title with the encounter's ID and the denied claim, if any; never the patient's name."""
    if packet.denied:
        return f"Evidence packet for the denial of Claim {packet.denied.claim}, encounter {packet.encounter_id}"
    return f"Evidence packet, encounter {packet.encounter_id}"


class _Document(BaseDocTemplate):  # type: ignore[misc]
    """Headings become bookmarks."""

    def afterFlowable(self, flowable: Flowable) -> None:
        level = {"heading": 0, "small-heading": 1}.get(getattr(getattr(flowable, "style", None), "name", ""))
        if level is None:
            return
        text = flowable.getPlainText()
        self._marks = getattr(self, "_marks", 0) + 1
        key = f"part-{self._marks}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(text, key, level=level, closed=level == 0)


def _numbered(foot: str) -> type[Canvas]:
    """A canvas that knows how many pages there are before it writes the first foot."""

    class Numbered(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, start=1):
                self.__dict__.update(page)
                self._foot(number, len(self._pages))
                super().showPage()
            super().save()

        def _foot(self, number: int, of: int) -> None:
            width = self._pagesize[0]
            self.setStrokeColor(RULE)
            self.line(MARGIN, FOOT + 12, width - MARGIN, FOOT + 12)
            self.setFillColor(QUIET)
            self.setFont(REGULAR, 7)
            self.drawString(MARGIN, FOOT, foot)
            self.drawRightString(width - MARGIN, FOOT, f"Page {number} of {of}")

    return Numbered
