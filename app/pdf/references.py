"""Short numbers of events in the PDF, and their index."""

from __future__ import annotations

from collections.abc import Iterable


class References:
    """Numbers events in the order of their first use."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, events: Iterable[str]) -> str:
        """Returns the numbers of events as text."""
        return " ".join(f"[{self.numbers.setdefault(event, len(self.numbers) + 1)}]" for event in events)
