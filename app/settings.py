"""Process settings from the environment (`CART_…`), with the defaults of the embedded stack."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

WorkerRole = Literal["all", "workflows", "activities"]
"""What a worker process runs. Separate workers keep a burst of claims from delaying workflow tasks."""

LogLevel = Literal["debug", "info", "warning", "error"]

DEPLOY = Path(str(files("domain"))).parent / "deploy"


class Settings(BaseSettings):
    """Settings of worker and gateway: paths and addresses. Secrets are in the files that these settings name."""

    model_config = SettingsConfigDict(env_prefix="CART_", extra="ignore")

    data_dir: Path = Path("data")
    database_url: str = ""
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

    @property
    def database(self) -> str:
        """Returns the database URL; a SQLite file in the data directory unless set."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'encounters.db').resolve()}"

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
