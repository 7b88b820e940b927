"""Embedded fonts, styles, and text that the fonts can draw."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, Flowable, Paragraph

REGULAR, BOLD = "CartSans", "CartSans-Bold"
INK, QUIET, RULE, SHADE, ALARM = (HexColor(c) for c in ("#1a1a1a", "#555555", "#b5b5b5", "#eef1f4", "#9b1c1c"))


@cache
def fonts() -> frozenset[int]:
    """Registers the fonts once; returns the code points that both of them have."""
    drawn: list[frozenset[int]] = []
    for name, file in ((REGULAR, "DejaVuSansCondensed.ttf"), (BOLD, "DejaVuSansCondensed-Bold.ttf")):
        font = TTFont(name, BytesIO((files("app.pdf") / "fonts" / file).read_bytes()))
        registerFont(font)
        drawn.append(frozenset(font.face.charToGlyph))
    registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    return drawn[0] & drawn[1]


def _style(name: str, size: float, leading: float, **more: object) -> ParagraphStyle:
    return ParagraphStyle(name, fontName=REGULAR, fontSize=size, leading=leading, textColor=INK, **more)


TITLE = _style("title", 18, 22, spaceAfter=2)
HEADING = ParagraphStyle("heading", fontName=BOLD, fontSize=12, leading=15, textColor=INK, spaceBefore=12, spaceAfter=4)
SMALL_HEADING = ParagraphStyle("small-heading", parent=HEADING, fontSize=9.5, leading=12, spaceBefore=7, spaceAfter=2)
BODY = _style("body", 9, 12, spaceAfter=3)
CELL = _style("cell", 7.6, 9.6)
HASH = _style("hash", 6, 9.6)
HEAD_CELL = ParagraphStyle("head-cell", parent=CELL, fontName=BOLD)
NOTE = ParagraphStyle("note", parent=BODY, fontSize=7.8, leading=10, textColor=QUIET)
ALERT = ParagraphStyle("alert", parent=BODY, fontName=BOLD, textColor=ALARM)


def printable(text: str) -> str:
    """Returns the text with every character missing from the fonts replaced by plain letters or its code point."""
    known = fonts()
    return "".join(_drawn(ch, known) for ch in unicodedata.normalize("NFC", text))


def _drawn(ch: str, known: frozenset[int]) -> str:
    if ord(ch) in known or ch == "\n":
        return ch
    plain = unicodedata.normalize("NFKC", ch)
    if plain != ch and all(ord(one) in known for one in plain):
        return plain
    return " " if ch.isspace() or unicodedata.category(ch) == "Cc" else f"[U+{ord(ch):04X}]"


def para(text: object, style: ParagraphStyle = CELL) -> Paragraph:
    """Returns a paragraph of plain text; markup is shown as text."""
    return Paragraph(escape(printable(str(text))).replace("\n", "<br/>"), style)


COMPANY = 70
"""Points of height required for a heading and the text after it."""


def heading(text: str, style: ParagraphStyle = HEADING) -> Iterator[Flowable]:
    """Yields a heading, which is a bookmark, on the same page as the text after it."""
    yield CondPageBreak(COMPANY)
    yield para(text, style)
