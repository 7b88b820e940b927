"""The list of commands, and their import when one is called or described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "rules": "app.cli.rules:rules_app",
        "deploy": "app.process.deployment:deploy_app",
        "vault": "app.cli.vault:vault_app",
        "hl7": "app.cli.hl7:hl7_app",
        "feed": "app.cli.feed:feed_app",
        "alerts": "app.cli.alerts:alerts_app",
        "quarantine": "app.cli.quarantine:quarantine_app",
        "emergency": "app.cli.emergency:emergency_app",
        "reconcile": "app.cli.reconcile:reconcile_app",
        "backup": "app.cli.backup:backup",
        "restore": "app.cli.restore:restore",
        "simulate": "app.cli.simulate:simulate",
        "preflight": "app.cli.preflight:preflight",
        "packet": "app.cli.packets:packet",
        "import": "app.cli.imports:import_",
        "audit": "app.cli.audit:audit",
        "show": "app.cli.encounters:show",
        "holds": "app.cli.encounters:holds",
        "timeline": "app.cli.encounters:timeline",
        "claims": "app.cli.encounters:claims",
        "worklist": "app.cli.worklists:worklist",
        "reply": "app.cli.worklists:reply",
        "up": "app.cli.processes:up",
        "worker": "app.cli.processes:worker",
        "gateway": "app.cli.processes:gateway",
        "post": "app.cli.sending:post",
        "verify": "app.cli.checking:verify",
        "export": "app.cli.checking:export",
        "demo": "app.cli.processes:demo",
        "site": "app.cli.site_file:site",
    }
)
"""Module and name of each command or group of commands, in the order of the help."""


class Imported(Mapping[str, Any]):
    """Commands by name; each is imported when it is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        whole = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if isinstance(found, typer.Typer):
            whole.add_typer(found, name=name)
        else:
            whole.command(name)(found)
        return typer.main.get_group(whole).commands[name]


class OnDemand(TyperGroup):
    """A group whose commands are imported one by one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Imported()  # type: ignore[assignment]
