"""`cart-encounter`: one command line for every process and every query.

Each command is imported when it is called, so that a query starts fast and a process holds only what it runs.
"""

from __future__ import annotations

import sys

import typer

from app.cli.on_demand import OnDemand

cli = typer.Typer(cls=OnDemand, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@cli.callback()
def _cart_encounter() -> None:
    """The CAR-T encounter orchestrator: from referral to the last payment."""


def main() -> None:
    """Runs the console script; an error that an operator can fix is one line, exit code 1, or 2 at start."""
    try:
        cli()
    except Exception as error:
        from app.client import ApiError
        from app.process.operator_errors import in_one_line

        line = in_one_line(error)
        if line is None:
            raise
        print(f"cart-encounter: {line}", file=sys.stderr)
        sys.exit(1 if isinstance(error, ApiError) else 2)


if __name__ == "__main__":
    main()
