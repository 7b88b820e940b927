"""The event catalog: CloudEvents 1.0 envelopes and one strict model per type (design section 4)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import StringConstraints, TypeAdapter, ValidationError

from domain.events import access, care, cells, cutover, governance, revenue
from domain.events.base import KEPT, EventData, Strict, Zoned
from domain.events.characters import places

MODELS: Final[tuple[type[EventData], ...]] = (
    access.ReferralReceived,
    access.EvidenceAdded,
    access.AppointmentBooked,
    access.AppointmentRescheduled,
    access.AppointmentCancelled,
    access.AppointmentMissed,
    access.AuthorizationSubmitted,
    access.AuthorizationDecided,
    cells.ApheresisCompleted,
    cells.CustodyRecorded,
    cells.ManufacturingFailed,
    cells.ManufacturingDelayed,
    cells.ProductReleased,
    cells.DispositionSigned,
    care.LymphodepletionAdministered,
    care.AdmissionStarted,
    care.AdmissionChanged,
    care.AdmissionEnded,
    care.AdmissionCancelled,
    care.InfusionStarted,
    care.InfusionStopped,
    care.InfusionCompleted,
    care.ToxicityAssessed,
    care.MedicationAdministered,
    care.FacilityReadiness,
    revenue.CodingCompleted,
    revenue.ChargePosted,
    revenue.ClaimAcknowledged,
    revenue.ClaimRemitted,
    revenue.ClaimRecouped,
    governance.CertificationChanged,
    governance.PlanChanged,
    governance.HoldOverridden,
    governance.EncounterWithdrawn,
    governance.CorrectionMade,
    cutover.EncounterImported,
)

CATALOGUE: Final[Mapping[str, TypeAdapter[Any]]] = {
    model.event_type: TypeAdapter(access.Evidence if model is access.EvidenceAdded else model) for model in MODELS
}
"""Every event type with the check of its `data`."""

_EVIDENCE_KINDS: Final = frozenset(
    kind
    for variant in get_args(get_args(access.Evidence)[0])
    for kind in get_args(variant.model_fields["kind"].annotation)
)

HOLDER_TYPES: Final = frozenset({care.FacilityReadiness.event_type, governance.CertificationChanged.event_type})
"""Events about a facility or a certificate holder: they concern every open encounter that needs them."""

OPENING_TYPES: Final = frozenset(
    {access.ReferralReceived.event_type, access.AppointmentBooked.event_type, cutover.EncounterImported.event_type}
)
"""Events that open an encounter for a new subject."""

BOUNDS: Final[Mapping[str, str]] = {
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "greater_than": "must be more than {gt}",
}

EnvelopeText = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Envelope(Strict):
    """A CloudEvents 1.0 envelope. `subject` is the order number or another alias of the scheduling system."""

    specversion: Literal["1.0"]
    id: EnvelopeText
    source: EnvelopeText
    type: EnvelopeText
    subject: EnvelopeText
    time: Zoned
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    data: dict[str, Any]


class Problem(Strict):
    """What is wrong with a field and what would be right. Never repeats the value: it may identify a person."""

    path: str
    message: str


class InvalidEvent(ValueError):
    """The envelope or its data does not fit the catalog; `problems` names each field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems


class UnknownType(InvalidEvent):
    """The type is not in the catalog."""


UNKNOWN_FIELD: Final = "(unknown field)"
"""Replaces a name in a path that does not look like a field name, since such a name may contain an identifier."""

LIKE_A_FIELD: Final = re.compile(r"[a-z]{1,20}(_[a-z]{1,20}){0,4}")
"""The form of names in the catalog: a misspelled name is reported to its sender, a number or a proper name is not."""

FORBIDDEN: Final = "{}: a control character or a mark of writing direction; send it without"
FREE_TEXT: Final = frozenset({"reason", "regimen", "response"})
"""Fields that people write sentences in, and so lines."""

MOST_PROBLEMS: Final = 100
"""More problems than this do not help the sender or the reader."""

LONGEST_NAME: Final = 40


def problems_of(error: ValidationError, prefix: str = "") -> tuple[Problem, ...]:
    """Return field paths and messages of a validation error, without values and without unknown names."""
    return tuple(
        Problem(path=_path(prefix, _known(entry)), message=_plain(entry))
        for entry in error.errors(include_input=False, include_url=False)[:MOST_PROBLEMS]
    )


def _known(entry: Mapping[str, Any]) -> tuple[int | str, ...]:
    *parents, name = entry["loc"] or ("",)
    if entry["type"] != "extra_forbidden" or LIKE_A_FIELD.fullmatch(str(name)):
        return tuple(entry["loc"])
    return (*parents, UNKNOWN_FIELD)


@cache
def _names() -> frozenset[str]:
    """Return every field name of the catalog."""
    found: set[str] = set()
    schemas = [adapter.json_schema() for adapter in CATALOGUE.values()]
    for schema in (Envelope.model_json_schema(), *schemas):
        for model in (schema, *schema.get("$defs", {}).values()):
            found |= model.get("properties", {}).keys()
    return frozenset(found)


def _of_characters(body: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Control characters and direction marks, by field; what no field of the catalog holds is left to the catalog."""
    known = {key: body[key] for key in Envelope.model_fields if key in body}
    found = islice(places(known, FREE_TEXT), MOST_PROBLEMS)
    return tuple(Problem(path=_path("", _plain_steps(path)), message=FORBIDDEN.format(mark)) for path, mark in found)


def _plain_steps(path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return tuple(step if isinstance(step, int) or step in _names() else UNKNOWN_FIELD for step in path)


def _path(prefix: str, location: tuple[int | str, ...]) -> str:
    """Return the dotted path in the sender's terms, without the tag of the evidence union."""
    steps = [str(step) for step in location if step not in _EVIDENCE_KINDS]
    return ".".join(filter(None, (prefix, *steps))) or "(event)"


def _plain(entry: Mapping[str, Any]) -> str:
    if entry["type"] == "extra_forbidden":
        return _unknown(str(entry["loc"][-1]))
    if entry["type"] == "missing":
        return "required field is missing"
    if entry["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return "kind must be one of: " + str(entry["ctx"].get("expected_tags", "")).replace("'", "")
    template = BOUNDS.get(entry["type"])
    return template.format(**entry["ctx"]) if template else str(entry["msg"]).removeprefix("Value error, ")


def _unknown(name: str) -> str:
    if name in _names():
        return "this field does not belong here; remove it or put it where it belongs"
    meant = get_close_matches(name, sorted(_names()), n=1, cutoff=0.75) if len(name) <= LONGEST_NAME else []
    return f"unknown field; did you mean {meant[0]}?" if meant else "unknown field; remove it or correct its name"


def parse(body: Mapping[str, Any]) -> tuple[Envelope, EventData]:
    """Check an event against the catalog.

    CloudEvents extension attributes are allowed by that standard and ignored here; unknown fields in `data` are refused.

    Raises:
        InvalidEvent: with the path of every invalid field.
    """
    known = {key: value for key, value in body.items() if key in Envelope.model_fields or not _is_extension(key)}
    try:
        envelope = Envelope.model_validate_json(json.dumps(known))
    except ValidationError as error:
        raise InvalidEvent(problems_of(error)) from None
    except (TypeError, ValueError):
        raise InvalidEvent((Problem(path="(event)", message="not a JSON object"),)) from None
    data = parse_data(envelope.type, envelope.data)
    if problems := _of_characters(known):
        raise InvalidEvent(problems)
    return envelope, data


def parse_data(event_type: str, data: Mapping[str, Any], *, kept: bool = False) -> EventData:
    """Check the `data` of one type.

    Args:
        kept: the event was received before, so a newer check must not block its encounter.

    Raises:
        UnknownType: the type is not in the catalog.
        InvalidEvent: with the path of every invalid field.
    """
    adapter = CATALOGUE.get(event_type)
    if adapter is None:
        raise UnknownType((Problem(path="type", message="not a type of the event catalog"),))
    try:
        return cast(EventData, adapter.validate_json(json.dumps(data), context={KEPT: kept}))
    except ValidationError as error:
        raise InvalidEvent(problems_of(error, "data")) from None


def _is_extension(name: str) -> bool:
    """Extension attributes: lower-case letters and digits, at most twenty (CloudEvents 1.0, section 3.1)."""
    return name.isascii() and name.isalnum() and name == name.lower() and len(name) <= 20


__all__ = [
    "CATALOGUE",
    "HOLDER_TYPES",
    "MODELS",
    "OPENING_TYPES",
    "Envelope",
    "EventData",
    "InvalidEvent",
    "Problem",
    "UnknownType",
    "parse",
    "parse_data",
    "problems_of",
]
