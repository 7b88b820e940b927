"""`cart-encounter packet`: writes the evidence packet to a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Optional
from urllib.parse import quote

import typer

from app.cli.options import DataDir, Url
from app.client import api_from

CLAIM = re.compile(r"^([ABCD])(?:/([1-9]\d?))?$")


def packet(
    encounter: str,
    claim: Annotated[
        Optional[str], typer.Option(help="denied claim, for example C or C/1; the packet is for its appeal")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="pdf or json")] = "pdf",
    withhold: Annotated[bool, typer.Option("--withhold-identity", help="leave out the patient's identity")] = False,
    out: Annotated[
        Optional[Path], typer.Option(help="file to write (default: named by its hash, in this directory)")
    ] = None,
    data_dir: DataDir = Path("data"),
    url: Url = None,
) -> None:
    """Write the evidence packet of an encounter or of a denied claim, for a payer or auditor."""
    if form not in ("pdf", "json"):
        raise typer.BadParameter("--format must be pdf or json")
    path = f"/v1/encounters/{quote(encounter, safe='')}{_claim_path(claim)}/packet?identity={'withheld' if withhold else 'shown'}"
    body, name = api_from(data_dir, url).file(path, f"application/{form}")
    target = out or Path(name)
    target.touch(mode=0o600)
    target.write_bytes(body)
    print(target)


def _claim_path(claim: str | None) -> str:
    if claim is None:
        return ""
    found = CLAIM.match(claim)
    if found is None:
        raise typer.BadParameter("--claim must be a letter, or letter/number: C or C/1")
    return f"/claims/{found[1]}/{found[2] or 1}"
