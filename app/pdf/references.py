"""Events by short numbers on the pages, and the index that resolves them."""

from __future__ import annotations

from collections.abc import Iterable


class References:
    """Numbers events in the order in which the pages name them."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, events: Iterable[str]) -> str:
        """The numbers of some events, as they stand on a page."""
        return " ".join(f"[{self.numbers.setdefault(event, len(self.numbers) + 1)}]" for event in events)
