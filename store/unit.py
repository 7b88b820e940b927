"""The store in one argument: session, keys and configuration of one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from sqlmodel import Session

from domain.rulebook import Rulebook
from domain.site import Site
from store.config import ConfigCache
from store.engine import Database
from store.facts import EncounterFacts, load_own
from store.keys import Keyring


@dataclass(frozen=True)
class Unit:
    """One transaction with its keys and configuration."""

    session: Session
    keys: Keyring
    config: ConfigCache
    _facts: dict[str, EncounterFacts] = field(default_factory=dict, repr=False)

    @cached_property
    def rules(self) -> Rulebook:
        """The rulebook as its files are at the first use."""
        return self.config.rules()

    @cached_property
    def site(self) -> Site:
        """The site as its file is at the first use."""
        return self.config.site()

    def facts(self, encounter_id: str) -> EncounterFacts:
        """The facts of an encounter, loaded once in a unit: an activity reads facts and never adds one."""
        if encounter_id not in self._facts:
            self._facts[encounter_id] = load_own(self.session, self.keys, encounter_id)
        return self._facts[encounter_id]


@dataclass
class Store:
    """Database, keys and configuration of a process; opens a `Unit` for each transaction."""

    db: Database
    keys: Keyring
    config: ConfigCache

    @contextmanager
    def read(self) -> Iterator[Unit]:
        """A transaction for reading."""
        with self.db.read() as session:
            yield Unit(session, self.keys, self.config)

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """A transaction that commits at the end and rolls back on any error."""
        with self.db.write() as session:
            yield Unit(session, self.keys, self.config)
