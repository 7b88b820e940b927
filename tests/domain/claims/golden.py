"""The files of the worked patients and of the outpatient pathway as they were reviewed by eye.

Write them again with `python -m tests.domain.claims.golden` and review the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from domain.claims.model import Form
from domain.claims.x12 import Control, Identity, render
from domain.claims.x12.parties import Address
from tests.domain.claims.breaks import office
from tests.domain.claims.stories import Story, b_all_inpatient, mcl_inpatient, site

FOLDER = Path(__file__).parent / "golden"
PAT = Identity(
    "Doe", "Pat", date(1959, 6, 12), "male", Address("1 Elm", "Columbus", "OH", "43215"), "1EG4TE5MK73", "M1"
)


def readmitted() -> Story:
    """MCL infused as an outpatient, CRS of grade 2 on day 5, admitted, sepsis as principal."""
    story = Story().referral(planned_setting="outpatient").collection().release().mcl_course().infused("outpatient")
    story.admitted(5, "ADM2").toxicity(5, crs=2, icans=1).tocilizumab(5).discharged(10, "ADM2")
    return story.coded("ADM2", "A41.9", ("T80.82XA", "Y"), ("D89.832", "Y"), ("G92.01", "Y"))


STORIES = {"mcl": mcl_inpatient, "b_all": b_all_inpatient, "readmitted": readmitted, "office": office}


def files() -> Iterator[tuple[str, str]]:
    """Name and text of every file."""
    for name, story in STORIES.items():
        for claim in story().claims():
            payer = site().payer(claim.payer)
            assert payer is not None
            filing = {"medicare": "MA"}.get(claim.payer, "CI")
            filing = "MB" if claim.form is Form.CMS1500 and filing == "MA" else filing
            number = f"{name.upper().replace('_', '')}-{claim.letter}{claim.ordinal}"
            control = Control(1, number, datetime(2026, 8, 1, 12, tzinfo=UTC), filing)
            yield f"{name}-{claim.letter}{claim.ordinal}.x12", render(claim, PAT, site(), payer, control)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file_name, text in files():
        (FOLDER / file_name).write_text(text, encoding="ascii")
