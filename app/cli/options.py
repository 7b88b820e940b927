"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="CART_DATA_DIR", help="directory of keys, token, databases and logs"),
]
Url = Annotated[
    Optional[str],
    typer.Option("--url", envvar="CART_URL", help="gateway address (default: the stack of the data directory)"),
]
Json = Annotated[
    Optional[bool], typer.Option("--json/--text", help="output format (default: text in a terminal, JSON in a pipe)")
]
