"""`cart-encounter hl7`: checking a site's mapping before its feed is switched on."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from intake.hl7.check import check as check_messages
from intake.hl7.mapping import MappingError, parse_mapping

hl7_app = typer.Typer(no_args_is_help=True, help="HL7 v2: the site's mapping file.")


@hl7_app.callback()
def _group() -> None:
    """HL7 v2: the site's mapping file."""


@hl7_app.command()
def check(mapping: Path, messages: Path) -> None:
    """Say how each message of a file would map; exits 1 when one would be refused or quarantined."""
    try:
        parsed = parse_mapping(mapping.read_text(encoding="utf-8"))
        data = messages.read_bytes()
    except (MappingError, OSError) as error:
        sys.exit(f"cart-encounter: {mapping.name if isinstance(error, MappingError) else ''} {error}")
    bad = 0
    for finding in check_messages(data, parsed):
        bad += finding.outcome in ("refused", "quarantined")
        print(f"{finding.number:4d}  {finding.trigger:10s} {finding.outcome:28s} {finding.detail}".rstrip())
    sys.exit(1 if bad else 0)
