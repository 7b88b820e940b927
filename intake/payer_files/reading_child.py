"""The process that reads payer files: `python -m intake.payer_files.reading_child`, started by `reading`.

For each file: a line with its size and the time limits, then its bytes on standard input; a line of JSON per item on standard
output, and one that ends it. It ends with its parent, for then its input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import IO, Any

from domain.billing.x12.entries import NotUsable
from domain.billing.x12.response_files import read

_CHUNK = 64 * 1024
_NICE = 5
"""A large file must not slow the process down that waits for it."""
_MEMORY = 2 * 1024**3
"""Address space in bytes; a file of the largest size needs a tenth of it."""


class Limit:
    """How long the check of one transaction against its guide may take, of this process's time; asked now and then."""

    _EVERY = 64

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end, self._asked = seconds, 0.0, 0

    def begin(self) -> None:
        self._end, self._asked = time.process_time() + self._seconds, 0

    def over(self) -> bool:
        self._asked += 1
        return self._asked % self._EVERY == 1 and time.process_time() > self._end


class _Body:
    """So many bytes of the input."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self._source, self._left = source, size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = self._source.read(min(_CHUNK, self._left))
            if not piece:
                raise EOFError
            self._left -= len(piece)
            yield piece

    def skip(self) -> None:
        """Read the rest: the next file comes after it."""
        for _ in self:
            pass


def serve(source: IO[bytes], out: IO[str]) -> None:
    """Read one file after the other until the input ends."""
    while line := source.readline():
        asked = json.loads(line)
        body = _Body(source, asked["size"])
        end: dict[str, Any] = {"end": True}
        try:
            for item in read(body, UTC, Limit(asked["guide_seconds"])):
                _write(out, {"is": type(item).__name__, **asdict(item)})
        except NotUsable as error:
            end = {"end": True, "refused": str(error), "torn": error.torn}
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 one file must not end the process; its class names no value
            end = {"end": True, "failed": type(error).__name__}
        body.skip()
        _write(out, end)
        out.flush()


def _write(out: IO[str], value: dict[str, Any]) -> None:
    out.write(json.dumps(value, default=_text))
    out.write("\n")


def _text(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def main() -> None:
    """Serve the parent."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, sys.stdout)


if __name__ == "__main__":
    main()
