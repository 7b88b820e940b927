"""Sends a file of events."""

from __future__ import annotations

import json
from pathlib import Path

from app.cli.encounter_text import receipt_lines
from app.cli.encounters import print_answer
from app.cli.options import DataDir, Json, Url
from app.client import api_from


def post(file: Path, data_dir: DataDir = Path("data"), as_json: Json = None, url: Url = None) -> None:
    """Send a file of CloudEvents: one event or an array of events."""
    answer = api_from(data_dir, url).post("/v1/events", json.loads(file.read_text()))
    print_answer(answer, receipt_lines, as_json)
