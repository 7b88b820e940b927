"""Tables of the packet, with a repeated head and wrapped cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reportlab.lib.pagesizes import LETTER
from reportlab.lib.units import inch
from reportlab.platypus import Flowable, Table, TableStyle

from app.pdf.fonts_styles import CELL, HEAD_CELL, REGULAR, RULE, SHADE, para

WIDTH = LETTER[0] - 1.4 * inch


def table(heads: Sequence[str], widths: Sequence[float], rows: Iterable[Sequence[object]]) -> Table:
    """Returns a table of full width; `widths` are shares."""
    body = [[_cell(value) for value in row] for row in rows]
    style = [
        ("FONT", (0, 0), (-1, -1), REGULAR),
        ("BACKGROUND", (0, 0), (-1, 0), SHADE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    made = Table([[para(head, HEAD_CELL) for head in heads], *body], _shares(widths), repeatRows=1)
    made.setStyle(TableStyle(style))
    return made


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Returns a table of names and values; an empty value has no row."""
    body = [[para(name, HEAD_CELL), _cell(value)] for name, value in rows if value not in (None, "")]
    made = Table(body, _shares((1, 3.4)))
    made.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), REGULAR),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        )
    )
    return made


def _cell(value: object) -> Flowable:
    return value if isinstance(value, Flowable) else para("–" if value is None or value == "" else value, CELL)


def _shares(widths: Sequence[float]) -> list[float]:
    return [WIDTH * width / sum(widths) for width in widths]
