"""CloudEvents over HTTP: structured, batch and binary mode (CloudEvents 1.0, HTTP protocol binding).

No library: an event that does not fit must pass unchanged, so that it is kept and each wrong field is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from intake.strict_json import NotJson, read_json

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PREFIX = "ce-"
_JSON = re.compile(r"^(application|text)/([a-z0-9.-]+\+)?json$")
UNSTATED = ("", "text/plain", "application/x-www-form-urlencoded")
"""Content types that command-line clients send by default: the body decides what it is."""
NOT_AN_OBJECT = "(not an object)"


class NotReadable(ValueError):
    """The body is not JSON or contradicts its headers; the message repeats nothing of it."""


class NotAccepted(NotReadable):
    """The content type is not accepted."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The events of one request, and whether it was a batch."""

    events: tuple[Mapping[str, Any], ...]
    batch: bool


def read_http(header_lines: Iterable[tuple[str, str]], body: bytes) -> Posted:
    """The events of a request, unchecked.

    Raises:
        NotReadable: not JSON, a batch that is not an array, or a header with two possible readings.
        NotAccepted: its content type is not JSON.
    """
    headers = _headers(header_lines)
    content_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type in UNSTATED:
        content_type = ""
    elif not _JSON.match(content_type):
        raise NotAccepted(f"send {STRUCTURED}, {BATCH} or application/json; with ce- headers application/json")
    value = _json(body)
    if PREFIX + "specversion" in headers and content_type not in (STRUCTURED, BATCH):
        return Posted((_binary(headers, content_type, value),), batch=False)
    if isinstance(value, list):
        if content_type == STRUCTURED:
            raise NotReadable("an array of events is sent as application/cloudevents-batch+json or application/json")
        return Posted(tuple(_object(one) for one in value), batch=True)
    if content_type == BATCH or not isinstance(value, dict):
        raise NotReadable("expected one event as a JSON object, or a batch as an array of them")
    return Posted((value,), batch=False)


def _binary(headers: Mapping[str, str], content_type: str, data: Any) -> Mapping[str, Any]:
    """An event of binary mode: attributes in `ce-` headers, percent-encoded; the body is the data."""
    event = {name[len(PREFIX) :]: _decoded(value) for name, value in headers.items() if name.startswith(PREFIX)}
    return {**event, "datacontenttype": content_type or "application/json", "data": data}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {NOT_AN_OBJECT: value}


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except NotJson as error:
        raise NotReadable(str(error)) from None


def _headers(lines: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Headers by lower-case name. Those that define an event may occur once: a proxy might read the other one."""
    found: dict[str, str] = {}
    for name, value in lines:
        key = name.lower()
        if key in found and (key.startswith(PREFIX) or key == "content-type"):
            raise NotReadable("a header of the event is repeated")
        found[key] = value
    return found


def _decoded(value: str) -> str:
    """The text of a header: ASCII, everything else percent-encoded UTF-8 (CloudEvents HTTP binding, 3.1.3.2)."""
    try:
        value.encode("ascii")
        return unquote(value, errors="strict")
    except UnicodeError:
        raise NotReadable("a header of the event is not percent-encoded UTF-8") from None
