"""`cart-encounter preflight FILE`: checks a referral on a gateway, or locally if no stack runs. Stores nothing."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Optional, cast

import typer

from app.cli.options import DataDir, Url
from app.client import ApiError, api_from
from app.settings import RUN_FILE, Settings
from domain.events import InvalidEvent
from domain.preflight import preflight as check
from domain.preflight import read_referral
from domain.rulebook import NoRule, RulebookError
from domain.rulebook.rows import Edition
from domain.site import SiteError
from store.config import ConfigCache


def preflight(
    file: Annotated[Path, typer.Argument(help="JSON file: the data of a referral, or the whole event")],
    data_dir: DataDir = Path("data"),
    url: Url = None,
    site: Annotated[Optional[Path], typer.Option(help="check locally with this site file")] = None,
    rules: Annotated[Optional[Path], typer.Option(help="check locally with this directory of rulebook tables")] = None,
    edition: Annotated[Optional[str], typer.Option(help="check locally with this edition: current or guide")] = None,
) -> None:
    """Check a referral: gates, missing documents, denial risks, planned dates, assistance, costs. Stores nothing.

    Without a running stack, or with --site, --rules or --edition, the check is local. A local check uses the certificates
    of the site file only, without later changes.
    """
    body = _body(file)
    if url is None and (site or rules or edition or not (data_dir / RUN_FILE).exists()):
        answer = offline(body, site, rules, edition)
    else:
        answer = api_from(data_dir, url).post("/v1/preflight", body)
    print(json.dumps(answer, indent=2))


def offline(body: object, site: Path | None, rules: Path | None, edition: str | None) -> dict[str, Any]:
    """Returns the answer without a gateway.

    Raises:
        ApiError: body, site file or rulebook is not valid; the message names fields, never values.
    """
    settings = Settings()
    chosen, tables = site or settings.site_file, rules or settings.rules_directory
    config = ConfigCache(cast(Edition, edition or settings.edition), tables, chosen)
    print(f"checked locally with {chosen}", file=sys.stderr)
    try:
        found = check(read_referral(body), config.site(), config.rules(), datetime.now(UTC))
    except (InvalidEvent, SiteError, RulebookError, NoRule, OSError) as error:
        raise ApiError(f"preflight: {error}") from None
    return found.model_dump(mode="json")


def _body(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ApiError(f"{file}: line {error.lineno}: not JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ApiError(f"{file}: cannot be read: {type(error).__name__}") from None
