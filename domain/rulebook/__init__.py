"""The rulebook: every clinical and billing fact as a dated, cited row in TOML, and the one loader that reads it.

Belongs here: rows, row types, look-ups by date. Does not belong here: what is concluded from a row; reading files (the
activities do that and give the texts to `load`).
"""

from domain.rulebook.book import AmbiguousRule, NoRule, Rulebook, RulebookError, load
from domain.rulebook.rows import ANY, Row

__all__ = ["ANY", "AmbiguousRule", "NoRule", "Row", "Rulebook", "RulebookError", "load"]
