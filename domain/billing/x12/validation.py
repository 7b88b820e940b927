"""A file against the guide maps of `pyx12`, and then against what those do not see.

Findings name segment and element, never a value: it may name a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from io import StringIO
from typing import Any

import pyx12.error_handler
import pyx12.errors
import pyx12.map_if
import pyx12.map_index
import pyx12.params
import pyx12.x12n_document

from domain.billing.x12.audit import audit

_STALE_LISTS = "claim_status,claim_status_cat,remark_code"
"""Code lists of the maps that are older than the codes in use."""
_WORDS = {
    "1": "is missing",
    "3": "is missing",
    "4": "is wrong in length or count",
    "5": "is too long",
    "6": "has a character that is not allowed",
    "7": "has a code that is not allowed",
    "8": "is no date",
    "9": "is no time",
    "10": "is not allowed beside the others",
}
_UNKNOWN = "envelope: not a file of a guide that is known here"
_UNREADABLE = "envelope: not a readable interchange"
_SILENT = 100
pyx12.error_handler.logger.manager.getLogger("pyx12").setLevel(_SILENT)
"""The library logs refused values; they would carry names into the logs."""

_load_map = pyx12.map_if.load_map_file
_map_index = pyx12.map_index.map_index


@cache
def _map(name: str, path: str | None) -> Any:
    return _load_map(name, _parameters(), path)


@cache
def _index(path: str | None = None) -> Any:
    return _map_index(path)


@cache
def _parameters() -> Any:
    found = pyx12.params.ParamsBase()
    found.set("exclude_external_codes", _STALE_LISTS)
    return found


pyx12.map_if.load_map_file = lambda map_file, param, map_path=None: _map(map_file, map_path)
pyx12.map_index.map_index = _index  # type: ignore[assignment,misc]
"""The library parses its maps again for every file; here each is read once."""


def validate(file: str) -> list[str]:
    """What is wrong with a claim's file, empty when it passes."""
    found = guide_findings(file)
    return found if found == [_UNKNOWN] or found == [_UNREADABLE] else [*found, *audit(file)]


def guide_findings(file: str) -> list[str]:
    """Where a file departs from its guide, whatever guide it is; empty where it keeps to it."""
    findings = StringIO()
    try:
        passed = pyx12.x12n_document.x12n_document(_parameters(), StringIO(file), None, None, fd_json=findings)
    except (pyx12.errors.EngineError, pyx12.errors.X12Error):
        return [_UNKNOWN]
    errors = list(_errors(json.loads(findings.getvalue()))) if findings.getvalue() else []
    if not errors and not passed:
        return [_UNREADABLE]
    return errors


def _errors(node: Any, segment: str = "envelope") -> Iterator[str]:
    """Every error of the nested report, with the segment and element it belongs to."""
    if isinstance(node, list):
        for item in node:
            yield from _errors(item, segment)
        return
    if not isinstance(node, dict):
        return
    here = node.get("seg_id") or segment
    place = f"{here}{int(node['ele_pos']):02d}" if node.get("ele_pos") else here
    if node.get("subele_pos"):
        place = f"{place}-{node['subele_pos']}"
    for error in node.get("errors", ()):
        name = f" {node['name']}" if node.get("name") else ""
        yield f"{place}{name} {_WORDS.get(str(error.get('err_cde')), 'is refused')}"
    for key in ("interchanges", "groups", "transactions", "segments", "elements"):
        yield from _errors(node.get(key, []), here)
