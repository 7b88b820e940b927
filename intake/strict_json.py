"""JSON that every system reads alike (RFC 8259, I-JSON): UTF-8, no repeated name, no NaN, limited depth.

What two readers could read differently is refused: a repeated `mrn` in one object must not mean one patient here and
another to a reader of the original.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

DEEPEST = 64


class NotJson(ValueError):
    """The body cannot be read; the message repeats nothing of it."""


def read_json(body: bytes) -> Any:
    """The value of a body.

    Raises:
        NotJson: not JSON, or not unambiguous.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except NotJson:
        raise
    except ValueError:
        raise NotJson("not JSON (RFC 8259, UTF-8)") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotJson("a name is repeated in one object")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise NotJson("NaN and Infinity are not JSON")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise NotJson("nested too deeply")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(v for v in one.values() if isinstance(v, dict | list))
            elif isinstance(one, list):
                inner.extend(v for v in one if isinstance(v, dict | list))
        level = inner
