"""Rows about the evidence packet: what the fix of each denial requires to submit."""

from __future__ import annotations

from pydantic import Field

from domain.rulebook.row import ANY, Row


class Submission(Row):
    """One thing that the fix of a denial requires to submit (G432-443).

    Attributes:
        denial: 1 to 12, as the guide counts them.
        number: its place in the list.
        title: what to submit.
        needs: all of it that the records must show, as `kind:name`; `domain.packet.denial.FINDERS` has the kinds.
        absent: what to do when the records do not show it.
    """

    table = "submissions"
    match_on = ("denial", "number", "indication")

    denial: int = Field(ge=1, le=12)
    number: int = Field(ge=1)
    title: str
    needs: tuple[str, ...] = Field(min_length=1)
    absent: str
    indication: str = ANY
