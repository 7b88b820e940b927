"""The files of the worked patients, of the outpatient pathway and of every scenario, as they were reviewed by eye.

Write them again with `python -m tests.domain.billing.golden` and review the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from app.tools.scenario_expectations import scenarios
from domain.billing.claims_due import cases
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Claim, Form
from domain.billing.x12 import Control, render
from domain.billing.x12.envelope import text
from domain.encounter.facts import fold
from domain.encounter.record import Record
from domain.rulebook.rows import Edition, Payer
from domain.site import Site
from intake.scenario_feeds import expand
from tests.domain.billing.breaks import office
from tests.domain.billing.stories import Story, b_all_inpatient, mcl_inpatient
from tests.kit.feeds import fact_of
from tests.kit.patient import identity
from tests.kit.rules import rulebook
from tests.kit.site import site

FOLDER = Path(__file__).parent / "golden"
INFUSION = date(2026, 6, 10)
MADE = datetime(2026, 8, 1, 12, tzinfo=UTC)
PAT = identity()


def readmitted() -> Story:
    """MCL infused as an outpatient, CRS of grade 2 on day 5, admitted, sepsis as principal."""
    story = Story().referral(planned_setting="outpatient").collection().released().mcl_course().infused("outpatient")
    story.admitted(5, "ADM2").toxicity(5, crs=2, icans=1).tocilizumab(5).discharged(10, "ADM2")
    return story.coded("ADM2", "A41.9", ("T80.82XA", "Y"), ("D89.832", "Y"), ("G92.01", "Y"))


STORIES = {"mcl": mcl_inpatient, "b_all": b_all_inpatient, "readmitted": readmitted, "office": office}
SCENARIOS = {scenario.feed.name: scenario.feed for scenario in scenarios()}


@cache
def record_of(name: str) -> Record:
    """The encounter of a scenario at its end."""
    return Record(fold(fact_of(event) for event in expand(SCENARIOS[name], INFUSION)))


@cache
def scenario_cases(name: str, edition: Edition) -> tuple[ClaimReview, ...]:
    """The claims of a scenario with what they were written from."""
    return cases(record_of(name), site(), rulebook(edition))


def written(name: str, claims: Iterable[Claim], where: Site) -> Iterator[tuple[str, str]]:
    """Name and text of the file of each claim."""
    for claim in claims:
        payer = where.payer(claim.payer)
        assert payer is not None
        row = rulebook().one(Payer, claim.statement_from, key=claim.payer)
        filing = (row.claim_filing_professional if claim.form is Form.CMS1500 else None) or row.claim_filing
        number = f"{name[:12].upper().replace('_', '')}-{claim.letter}{claim.ordinal}"
        text = render(claim, PAT, where, payer, Control(1, number, MADE, filing))
        yield f"{name}-{claim.letter}{claim.ordinal}.x12", text


def files() -> Iterator[tuple[str, str]]:
    """Name and text of every file."""
    for name, story in STORIES.items():
        yield from written(name, story().claims(), site())
    for name in SCENARIOS:
        yield from written(name, (case.claim for case in scenario_cases(name, "current")), site())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file_name, text in files():
        (FOLDER / file_name).write_text(text, encoding="ascii")


def control(**changes: object) -> Control:
    data: dict[str, object] = {
        "interchange": 7,
        "claim": "ENC1-C1",
        "created": datetime(2026, 7, 1, 12, tzinfo=UTC),
        "filing": "MA",
    }
    return Control(**{**data, **changes})  # type: ignore[arg-type]


def segments(file: str, tag: str) -> list[list[str]]:
    return [line.rstrip("~").split("*") for line in file.splitlines() if line.split("*")[0] == tag]
