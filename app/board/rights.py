"""Rights on the board beyond reading: one table of roles, in addition to that of the HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.api.actors import Actor
from app.api.roles import SEE_IDENTITY, Role


class BoardRight(StrEnum):
    """A right that a page or form requires."""

    SEE_IDENTITY = "see_identity"
    ENTER_DOCUMENTS = "enter_documents"
    ENTER_CERTIFICATES = "enter_certificates"
    ENTER_CUSTODY = "enter_custody"
    ENTER_CARE = "enter_care"
    ENTER_CODING = "enter_coding"
    OVERRIDE_HOLDS = "override_holds"
    SIGN_DISPOSITION = "sign_disposition"


BOARD_TABLE: Final[Mapping[BoardRight, frozenset[Role]]] = {
    BoardRight.SEE_IDENTITY: SEE_IDENTITY,
    BoardRight.ENTER_DOCUMENTS: frozenset({Role.COORDINATOR, Role.ADMIN}),
    BoardRight.ENTER_CERTIFICATES: frozenset({Role.COORDINATOR, Role.ADMIN}),
    BoardRight.ENTER_CUSTODY: frozenset({Role.COORDINATOR, Role.LAB, Role.ADMIN}),
    BoardRight.ENTER_CARE: frozenset({Role.COORDINATOR, Role.ADMIN}),
    BoardRight.ENTER_CODING: frozenset({Role.BILLER, Role.ADMIN}),
    BoardRight.OVERRIDE_HOLDS: frozenset({Role.COORDINATOR, Role.ADMIN}),
    BoardRight.SIGN_DISPOSITION: frozenset({Role.COORDINATOR, Role.LAB, Role.ADMIN}),
}


def may_on_board(actor: Actor, right: BoardRight) -> bool:
    """Returns True if one of the caller's roles has the right."""
    return bool(actor.roles & BOARD_TABLE[right])
