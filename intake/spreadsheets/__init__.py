"""Files of encounters that were under way elsewhere (`docs/cutover.md`): rows of a spreadsheet into ordinary events.

Belongs here: reading CSV, workbooks and JSON into rows, cells into the types of the catalogue, rows into the events of one
encounter. Does not belong here: what a takeover means (`domain.encounter.cutover`), sending the events.
"""

from __future__ import annotations

from intake.spreadsheets.encounters import Import, Trouble, read_import
from intake.spreadsheets.rows import ImportFileError

__all__ = ["Import", "ImportFileError", "Trouble", "read_import"]
