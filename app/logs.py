"""What processes write about failures: where and of which class, never the message, which may hold a value of a patient.

Libraries log whole exceptions with their messages: a date that cannot be read, the key that is missing from a record.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

Caught = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Discreet(logging.Formatter):
    """One line for the record; beneath it class and place of each exception of the chain."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatException(self, ei: Caught) -> str:
        return told(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        """Exceptions among the arguments of a message go by their class, too."""
        if isinstance(record.args, tuple):
            record.args = tuple(_plain(one) for one in record.args)
        record.exc_text = None
        return super().format(record)


def _plain(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def told(error: BaseException | None) -> str:
    """Class and place of an exception and of what caused it."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def be_discreet() -> None:
    """Let everything that this process logs or dies of pass through `Discreet`."""
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    sys.excepthook = _died
    threading.excepthook = lambda thread: print(told(thread.exc_value), file=sys.stderr)


def _died(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    print(told(error), file=sys.stderr)
