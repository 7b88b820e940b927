"""Import of encounters that were under way before the cutover (`docs/cutover.md`): rows of a spreadsheet become events.

Belongs here: reading CSV, workbooks and JSON into rows, cells into the types of the catalog, rows into the events of one
encounter. Does not belong here: what a cutover means (`domain.encounter.cutover`), sending the events.
"""

from __future__ import annotations

from intake.spreadsheets.encounters import Import, Trouble, read_import
from intake.spreadsheets.rows import ImportFileError

__all__ = ["Import", "ImportFileError", "Trouble", "read_import"]
