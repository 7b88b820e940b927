"""The generated pages of `docs/claims`: worked patients of the guide in both editions, and claim errors.

Generate them again with `python -m tests.domain.billing.reports`; a test compares them with the repository.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.billing.model import Claim
from domain.rulebook.rows import EditRule
from tests.domain.billing.alterations import ALTERED, REWRITTEN
from tests.domain.billing.breaks import ERRORS, WARNINGS
from tests.domain.billing.stories import Story, b_all_inpatient, mcl_inpatient
from tests.kit.files import DOCS
from tests.kit.rules import rulebook

CLAIM_PAGES = DOCS / "claims"
Rows = Iterable[Iterable[object]]


def table(head: Iterable[str], rows: Rows) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def broken_claims() -> str:
    """Return the page of claim errors and what stops each."""
    rules = {row.edit: row for row in rulebook().table(EditRule)}
    charted = [
        (b.what, b.key, f"`{b.edit}`", rules[b.edit].severity, rules[b.edit].denial or "") for b in (*ERRORS, *WARNINGS)
    ]
    altered = [(a.what, a.key, f"`{a.edit}`", rules[a.edit].severity, rules[a.edit].denial or "") for a in ALTERED]
    written = [(r.what, "file of C/1", f"validator: {r.words}") for r in REWRITTEN]
    head = ("error", "claim", "stopped by", "severity", "denial of the guide")
    return "\n".join(
        (
            "# Claim errors and what stops each\n",
            "An error holds the claim, a warning shows. Generated; a test compares.\n",
            "## Charting, coding and posting errors\n",
            table(head, charted),
            "## Changes to a final claim\n",
            table(head, altered),
            "## Changes to the 837 file\n",
            table(("error", "where", "stopped by"), written),
        )
    )


def worked_patients() -> str:
    """Return the page of the guide's two patients, line by line, in both editions."""
    parts = [
        "# The guide's two worked patients, in both editions\n",
        "Edition `current` follows official sources. Edition `guide` follows the guide as printed. Generated; a test compares.\n",
        "Days are counted from the infusion.\n",
    ]
    for title, story in (
        ("Adult with MCL, 70 kg, 1.85 m2, Medicare, admitted from day -1 (G135-157)", mcl_inpatient()),
        (
            "The same adult with a commercial payer: no payment window",
            mcl_inpatient(payer="aetna").authorization(),
        ),
        ("Adult of 28 with B-ALL, 70 kg, commercial payer, admitted from day -5 (G158-169)", b_all_inpatient()),
        ("The same with three doses of cyclophosphamide, as in the guide (G163)", b_all_inpatient((-4, -3, -2))),
    ):
        parts.append(f"## {title}\n")
        parts += [_claim(story, key) for key in story.claim_keys()]
    return "\n".join(parts)


def _claim(story: Story, key: str) -> str:
    current, guide = story.claim(key), story.claim(key, "guide")
    head = ("day", "service", "revenue", "code", "modifiers", "units")
    return "\n".join(
        (
            f"### Claim {key}: {current.form.value}, type of bill {current.type_of_bill}\n",
            f"**current**: {_codes(current)}\n",
            table(head, _lines(story, current)),
            f"**guide**: {_codes(guide)}\n",
            table(head, _lines(story, guide)),
            "Why they differ:\n",
            "\n".join(f"- {text}" for text in _differences(current, guide)) + "\n",
            f"Findings in `guide`: {_findings(guide)}. Findings in `current`: {_findings(current)}.\n",
        )
    )


def _codes(claim: Claim) -> str:
    diagnoses = ", ".join(d.code for d in claim.diagnoses if d.role != "admitting")
    procedures = ", ".join(p.code for p in claim.procedures)
    group = f"; procedure {procedures}; MS-DRG {claim.drg}" if procedures else ""
    return f"diagnoses {diagnoses}{group}"


def _lines(story: Story, claim: Claim) -> Rows:
    for line in claim.lines:
        day = (line.date_of_service - story.day0).days
        code = line.hcpcs or ""
        yield (
            f"{day:+d}" if day else "0",
            line.service,
            line.revenue_code or "",
            code,
            " ".join(line.modifiers),
            line.units,
        )


def _differences(current: Claim, guide: Claim) -> list[str]:
    return [*dict.fromkeys((*current.advisories, *guide.advisories))]


def _findings(claim: Claim) -> str:
    return ", ".join(f"`{edit.id}` ({edit.severity.value})" for edit in claim.edits) or "none"


PAGES = {"broken-claims.md": broken_claims, "worked-patients.md": worked_patients}

if __name__ == "__main__":
    CLAIM_PAGES.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (CLAIM_PAGES / name).write_text(page(), encoding="utf-8")
