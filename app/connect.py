"""Opening what a process works with: store, keys, shelf, Temporal client."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.mind import Mind
from activities.payloads import data_converter
from activities.rules import Shelf
from activities.store.engine import Database
from activities.store.keys import Keyring, read_keyring
from app.settings import Settings


@dataclass(frozen=True)
class Home:
    """The open store of a process."""

    settings: Settings
    keys: Keyring
    db: Database
    shelf: Shelf

    @property
    def mind(self) -> Mind:
        return Mind(self.db, self.keys, self.shelf)


def open_home(settings: Settings) -> Home:
    """Open database, keys, rulebook and site.

    Raises:
        KeyFileError, RulebookError, SiteError: a file does not hold together.
    """
    keys = read_keyring(settings.key_file)
    shelf = Shelf(settings.edition, settings.rules_directory, settings.site_file)
    shelf.rules()
    shelf.site()
    return Home(settings, keys, Database(settings.database), shelf)


async def connect_temporal(
    settings: Settings, keys: Keyring, *, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """A client that seals every payload."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(keys),
        lazy=lazy,
        runtime=runtime,
        identity=settings.deployment,
    )
