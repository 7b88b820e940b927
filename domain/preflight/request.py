"""The input of preflight: the data of a referral, or the whole event."""

from __future__ import annotations

from collections.abc import Mapping

from domain.events import InvalidEvent, Problem, parse_data
from domain.events.access import ReferralReceived


def read_referral(body: object) -> ReferralReceived:
    """The referral of a body. Of a whole CloudEvent only type and data are read: the rest does not matter for the gates.

    Raises:
        InvalidEvent: with the path of every field at fault, never with its value.
    """
    if not isinstance(body, Mapping):
        raise _invalid("(body)", "one JSON object is required: the data of a referral, or the whole event")
    data: object = body
    if "specversion" in body or "data" in body:
        if body.get("type") != ReferralReceived.event_type:
            raise _invalid("type", f"preflight judges {ReferralReceived.event_type} and no other event")
        data = body.get("data")
    if not isinstance(data, Mapping):
        raise _invalid("data", "required field is missing" if data is None else "an object is required")
    parsed = parse_data(ReferralReceived.event_type, dict(data))
    assert isinstance(parsed, ReferralReceived)
    return parsed


def _invalid(path: str, message: str) -> InvalidEvent:
    return InvalidEvent((Problem(path=path, message=message),))
