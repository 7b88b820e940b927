"""Acting as another user of the machine."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_user(number: int) -> Iterator[None]:
    """This thread's new sockets belong to another user (Linux)."""
    library = ctypes.CDLL(None)
    library.setfsuid(number)
    try:
        yield
    finally:
        library.setfsuid(os.geteuid())
