"""What the guide of the board says of forms, events and roles is so."""

from __future__ import annotations

from app.board.forms import FORMS
from app.board.rights import BOARD_TABLE, BoardRight
from tests.kit.files import DOCS

GUIDE = (DOCS / "board.md").read_text()
LARGEST = 400 * 1024


def test_every_form_stands_in_the_guide_with_its_event_and_roles() -> None:
    rows = {line for line in GUIDE.splitlines() if line.startswith("| ")}
    for form in FORMS.values():
        roles = ", ".join(sorted(BOARD_TABLE[form.right]))
        assert f"| {form.key} | `{form.event_type}` | {roles} |" in rows
    assert len(rows) == len(FORMS) + 1


def test_the_guide_names_who_sees_identity() -> None:
    assert f"Roles that may see identity: {', '.join(sorted(BOARD_TABLE[BoardRight.SEE_IDENTITY]))}." in GUIDE


def test_pictures_are_there_and_small() -> None:
    pictures = sorted((DOCS / "images").glob("*.png"))
    assert {"board.png", "encounter.png", "temporal-ui.png"} <= {path.name for path in pictures}
    assert [path.name for path in pictures if path.stat().st_size > LARGEST] == []
