"""Opens the database, keys, configuration and Temporal client of a process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import TLSConfig

from activities.decisions import DecisionService
from app.process.api_key import keep_api_key
from app.process.payload_encryption import data_converter
from app.settings import COMMAND, WORKER, CannotStart, Settings
from store.config import ConfigCache
from store.engine import PATIENCE, Database
from store.installation import ForeignKeys, SchemaOlder, check_keys
from store.keys import Keyring, read_keyring
from store.limits import Limits
from store.unit import Store


@dataclass(frozen=True)
class Home:
    """The open database, keys and configuration of a process."""

    settings: Settings
    keys: Keyring
    db: Database
    config: ConfigCache

    @cached_property
    def service(self) -> DecisionService:
        return DecisionService(Store(self.db, self.keys, self.config))


def open_home(settings: Settings, patience: float = PATIENCE, limits: Limits = WORKER) -> Home:
    """Opens database, keys, rulebook and site file.

    Args:
        patience: as of `Database`.
        limits: those of the kind of process; settings take precedence.

    Raises:
        KeyFileError, RulebookError, SiteError: a file is not valid, or the key file is not that of the database.
        CannotStart: the site file cannot be read.
    """
    keys = read_keyring(settings.key_file)
    config = ConfigCache(settings.edition, settings.rules_directory, settings.site_file)
    config.rules()
    try:
        config.site()
    except OSError as error:
        raise CannotStart(f"CART_SITE_FILE: {settings.site_file}: {error.strerror}") from None
    db = Database(settings.database, config.last_rules, patience, settings.limits(limits))
    checked(settings, db, keys)
    return Home(settings, keys, db, config)


def open_vault(settings: Settings) -> tuple[Database, Keyring]:
    """Opens database and keys for a command, and checks that they belong together.

    Raises:
        KeyFileError: as `open_home`.
    """
    keys = read_keyring(settings.key_file)
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        checked(settings, db, keys)
    except Exception:
        db.close()
        raise
    return db, keys


def checked(settings: Settings, db: Database, keys: Keyring) -> None:
    """Checks that the key file is that of the database.

    Raises:
        ForeignKeys: it is not; the message names file and fix.
        CannotStart: the schema of the database is older than this release.
    """
    try:
        check_keys(db, keys, datetime.now(UTC))
    except ForeignKeys as error:
        raise ForeignKeys(f"{settings.key_file}: {error}") from None
    except SchemaOlder as error:
        raise CannotStart(str(error)) from None


async def connect_temporal(
    settings: Settings, keys: Keyring, *, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """Returns a client that encrypts every payload.

    Raises:
        CannotStart: a connection file is missing, or only one file of a pair is set.
    """
    client = await Client.connect(
        settings.temporal_address,
        data_converter=data_converter(keys),
        lazy=lazy,
        runtime=runtime,
        identity=settings.deployment,
        **temporal_access(settings),
    )
    if settings.temporal_api_key_file:
        keep_api_key(client, settings.temporal_api_key_file)
    return client


def temporal_access(settings: Settings) -> dict[str, Any]:
    """Returns namespace, TLS and API key of a connection; a server may require mutual TLS, a key, or neither.

    Raises:
        CannotStart: a file cannot be read, or only one file of a pair is set.
    """
    if (settings.temporal_cert_file is None) != (settings.temporal_cert_key_file is None):
        raise CannotStart(
            "CART_TEMPORAL_CERT_FILE and CART_TEMPORAL_CERT_KEY_FILE: set both for mutual TLS, or neither"
        )
    key = _secret("CART_TEMPORAL_API_KEY_FILE", settings.temporal_api_key_file)
    authority = _secret("CART_TEMPORAL_CA_FILE", settings.temporal_ca_file)
    certificate = _secret("CART_TEMPORAL_CERT_FILE", settings.temporal_cert_file)
    private = _secret("CART_TEMPORAL_CERT_KEY_FILE", settings.temporal_cert_key_file)
    use_tls = settings.temporal_tls or any((key, authority, certificate))
    tls = TLSConfig(
        server_root_ca_cert=authority,
        domain=settings.temporal_server_name,
        client_cert=certificate,
        client_private_key=private,
    )
    return {
        "namespace": settings.temporal_namespace,
        "tls": tls if use_tls else False,
        "api_key": key.decode().strip() if key else None,
    }


def _secret(setting: str, file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CannotStart(f"{setting}: {file}: {error.strerror}") from None
    if not content.strip():
        raise CannotStart(f"{setting}: {file} is empty")
    return content
