"""Error messages for operators when a process or command cannot start: one line with the cause, no values."""

from __future__ import annotations

import json
import re
import tomllib

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.client import ApiError
from app.settings import CannotStart
from domain.rulebook import RulebookError
from domain.site import SiteError
from store.engine import SchemaBusy, Unreachable
from store.installation import ForeignKeys
from store.keys import KeyFileError

TEMPORAL_AWAY = "Failed client connect"
"""Start of the SDK's message if no server responds; the SDK raises a plain RuntimeError."""


def in_one_line(error: Exception) -> str | None:
    """Returns the message of an error that an operator can fix; None for a program error."""
    match error:
        case CannotStart() | ApiError() | RulebookError() | SchemaBusy():
            return str(error)
        case ForeignKeys():
            return str(error)
        case KeyFileError():
            return f"{error}; for a new installation run `cart-encounter deploy keys`"
        case SiteError():
            return "site file (CART_SITE_FILE): " + "; ".join(str(problem) for problem in error.problems)
        case ValidationError():
            return "; ".join(f"CART_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        case SettingsError():
            return f'CART_{_field(error).upper()}: not JSON; write a list as ["https://temporal.example.internal"]'
        case Unreachable():
            return "the database cannot be reached or opened: check CART_DATABASE_URL, its server and its password file"
        case tomllib.TOMLDecodeError():
            return f"not TOML: {error}"
        case json.JSONDecodeError():
            return f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        case UnicodeDecodeError():
            return "a file is not UTF-8 text"
        case RecursionError():
            return "a file is nested too deeply; check that it is the right file"
        case OSError():
            return f"{error.filename or 'file'}: {error.strerror or type(error).__name__}"
        case RuntimeError() if TEMPORAL_AWAY in str(error):
            return (
                "no Temporal server responds: check CART_TEMPORAL_ADDRESS, CART_TEMPORAL_NAMESPACE and its TLS settings"
            )
    return None


def _field(error: SettingsError) -> str:
    named = re.search(r'field "(\w+)"', str(error))
    return named[1] if named else "…"
