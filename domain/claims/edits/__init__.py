"""Claim edits: what is wrong with a claim, or may be, each with its cure and the denial it prevents (G429-443).

Belongs here: findings on a finished claim. Does not belong here: changing the claim. One module per kind of finding.
"""

from domain.claims.edits.case import Case
from domain.claims.model import Edit


def find_edits(case: Case) -> tuple[Edit, ...]:
    """Every finding, errors first."""
    return ()


__all__ = ["Case", "find_edits"]
