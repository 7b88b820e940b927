"""`cart-encounter hl7`: checks a site's mapping before its feed goes live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer

from app.settings import Settings
from domain.site import SiteError, parse_site
from intake.hl7.mapping_check import check as check_messages
from intake.site_mapping import MappingError, parse_mapping, unknown_facilities

hl7_app = typer.Typer(no_args_is_help=True, help="HL7 v2: the site's mapping file.")


@hl7_app.callback()
def _group() -> None:
    """HL7 v2: the site's mapping file."""


@hl7_app.command()
def check(
    mapping: Path,
    messages: Path,
    site: Annotated[
        Optional[Path],
        typer.Option(help="site file that lists the facilities (default: CART_SITE_FILE)"),
    ] = None,
) -> None:
    """Show the mapping result of each message in a file. Exits 1 if one fails, 2 if none can be checked."""
    file = site or Settings().site_file
    try:
        parsed = parse_mapping(mapping.read_text(encoding="utf-8"))
        known = [facility.key for facility in parse_site(file.read_text(encoding="utf-8")).facilities]
        data = messages.read_bytes()
    except MappingError as error:
        _stop(f"{mapping.name}: {error}")
    except SiteError as error:
        _stop(f"{file.name}: {'; '.join(error.problems)}")
    except OSError as error:
        _stop(f"{error.filename}: {error.strerror}")
    except UnicodeDecodeError:
        _stop("mapping and site file must be UTF-8 text")
    unknown = unknown_facilities(parsed, known)
    for problem in unknown:
        print(f"{mapping.name}: {problem}", file=sys.stderr)
    bad, found = 0, list(check_messages(data, parsed))
    for finding in found:
        bad += finding.outcome in ("refused", "quarantined")
        print(f"{finding.number:4d}  {finding.trigger:10s} {finding.outcome:28s} {finding.detail}".rstrip())
    if not found:
        _stop(f"{messages.name}: no HL7 message found; each message must start with MSH at the start of a line")
    sys.exit(1 if bad or unknown else 0)


def _stop(reason: str) -> NoReturn:
    print(f"cart-encounter: {reason}", file=sys.stderr)
    sys.exit(2)
