"""Process settings from the environment (`CART_…`), with the defaults of the embedded stack."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from store.limits import Limits
from store.migration import LIMITS as MIGRATION
from store.migration import TRY_SECONDS

WorkerRole = Literal["all", "workflows", "activities"]
"""What a worker process runs. Separate workers keep a burst of claims from delaying workflow tasks."""

LogLevel = Literal["debug", "info", "warning", "error"]

DEPLOY = Path(str(files("domain"))).parent / "deploy"


Seconds = Annotated[float, Field(gt=0, le=86400)]

GATEWAY = Limits("cart-encounter gateway", connect=2.0, lock=3.0, statement=3.5, idle=5.0, network=10.0)
"""Callers and senders wait four seconds. A frozen gateway keeps others from the inbox for `idle` at most."""
WORKER = Limits("cart-encounter worker", connect=5.0, lock=30.0, statement=60.0, idle=10.0)
COMMAND = Limits("cart-encounter command", statement=600.0)


FROZEN_SECONDS = 20.0


class Settings(BaseSettings):
    """Settings of worker and gateway: paths and addresses. Secrets are in the files that these settings name."""

    model_config = SettingsConfigDict(env_prefix="CART_", extra="ignore")

    data_dir: Path = Path("data")
    database_url: str = ""
    database_connect_seconds: Seconds | None = None
    database_lock_seconds: Seconds | None = None
    database_statement_seconds: Seconds | None = None
    database_idle_seconds: Seconds | None = None
    database_network_seconds: Seconds | None = None
    database_connections: int | None = Field(default=None, ge=2, le=200)
    migrate_lock_seconds: Seconds = MIGRATION.lock
    migrate_statement_seconds: Seconds = MIGRATION.statement
    migrate_try_seconds: Seconds = TRY_SECONDS
    site_file: Path = DEPLOY / "site.example.toml"
    rules_directory: Path | None = None
    alerts_file: Path | None = None
    edition: Literal["current", "guide"] = "current"
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_tls: bool = False
    temporal_ca_file: Path | None = None
    temporal_cert_file: Path | None = None
    temporal_cert_key_file: Path | None = None
    temporal_server_name: str | None = None
    temporal_api_key_file: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8700, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    deployment: str = "cart-encounter"
    max_cached_workflows: int = 5000
    worker_role: WorkerRole = "all"
    log_level: LogLevel = "info"
    frozen_seconds: Annotated[float, Field(ge=5, le=3600)] = FROZEN_SECONDS
    """`up` kills a worker or gateway that does not show for so long that it is live, and starts it again."""

    @property
    def database(self) -> str:
        """Returns the database URL; a SQLite file in the data directory unless set."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'encounters.db').resolve()}"

    def limits(self, of: Limits) -> Limits:
        """Returns the limits towards PostgreSQL of a kind of process, with what is set."""
        names = ("connect", "lock", "statement", "idle", "network")
        given = {name: getattr(self, f"database_{name}_seconds") for name in names}
        given["connections"] = self.database_connections
        return replace(of, **{name: value for name, value in given.items() if value is not None})

    @property
    def migration_limits(self) -> Limits:
        """Returns the limits of `deploy migrate`; those of other processes are too short for it."""
        return replace(
            MIGRATION,
            lock=self.migrate_lock_seconds,
            statement=self.migrate_statement_seconds,
            connect=self.database_connect_seconds or MIGRATION.connect,
            network=self.database_network_seconds or MIGRATION.network,
        )

    @property
    def key_file(self) -> Path:
        return self.data_dir / "keys.json"

    @property
    def outbox(self) -> Path:
        """Returns the directory of claim files for payers; they contain patient identities."""
        return self.data_dir / "outbox"

    @property
    def inbox(self) -> Path:
        """Returns the directory of payer response files; they contain patient identities."""
        return self.data_dir / "inbox"

    @property
    def token_file(self) -> Path:
        return self.data_dir / "token"


RUN_FILE = "run.json"


class CannotStart(RuntimeError):
    """The stack cannot start; the message is one line with the fix."""
