"""Both colour schemes can be read."""

from __future__ import annotations

import pytest

from tests.app.board.markup import contrast, palettes

TEXT = [
    (ink, ground) for ground in ("page", "panel") for ink in ("ink", "soft", "link", "bad", "warn", "good", "info")
] + [
    ("bad", "bad-bg"),
    ("warn", "warn-bg"),
    ("good", "good-bg"),
    ("info", "info-bg"),
    ("bar-ink", "bar"),
    ("panel", "link"),
]
TIMELINE = [("tl-ink", f"tl-{band}") for band in ("0", "1", "2", "3", "4", "bad")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT + TIMELINE)
def test_text_stands_out_from_its_ground(scheme: str, ink: str, ground: str) -> None:
    colours = palettes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_stands_out(scheme: str) -> None:
    colours = palettes()[scheme]
    assert min(contrast(colours["focus"], colours[ground]) for ground in ("page", "panel")) >= 3


def test_contrast_is_counted_as_the_guideline_does() -> None:
    assert round(contrast("#000000", "#ffffff"), 1) == 21.0
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
