"""Checks a site file."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def site(file: Path) -> None:
    """Check a site file; shows every field with an error."""
    from domain.site import SiteError, parse_site

    try:
        parsed = parse_site(file.read_text())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    except SiteError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(1)
    print(
        f"{parsed.name}: {len(parsed.facilities)} facilities, {len(parsed.payers)} payers, {len(parsed.charges)} charges"
    )
