"""A resource as FHIR R4 defines it: its form by `fhir.resources`, its required code bindings here.

`fhir.resources` checks elements, cardinality and data types and lets any code pass, `{"status": "bogus"}` too. It takes 0.4 s
to import, so it is imported where the first resource is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from intake.faults import NotUsable

Json = Mapping[str, Any]

APPOINTMENT_STATUS = frozenset(
    [
        "proposed",
        "pending",
        "booked",
        "arrived",
        "fulfilled",
        "cancelled",
        "noshow",
        "entered-in-error",
        "checked-in",
        "waitlist",
    ]
)
"""https://hl7.org/fhir/R4/valueset-appointmentstatus.html"""

ENCOUNTER_STATUS = frozenset(
    ["planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error", "unknown"]
)
"""https://hl7.org/fhir/R4/valueset-encounter-status.html"""

PARTICIPATION_STATUS = frozenset(["accepted", "declined", "tentative", "needs-action"])
"""https://hl7.org/fhir/R4/valueset-participationstatus.html"""

PARTICIPANT_REQUIRED = frozenset(["required", "optional", "information-only"])
"""https://hl7.org/fhir/R4/valueset-participantrequired.html"""

LOCATION_STATUS = frozenset(["planned", "active", "reserved", "completed"])
"""https://hl7.org/fhir/R4/valueset-encounter-location-status.html"""

IDENTIFIER_USE = frozenset(["usual", "official", "temp", "secondary", "old"])
"""https://hl7.org/fhir/R4/valueset-identifier-use.html"""

REQUIRED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "Appointment": {
        "status": APPOINTMENT_STATUS,
        "participant.status": PARTICIPATION_STATUS,
        "participant.required": PARTICIPANT_REQUIRED,
        "identifier.use": IDENTIFIER_USE,
    },
    "Encounter": {
        "status": ENCOUNTER_STATUS,
        "statusHistory.status": ENCOUNTER_STATUS,
        "location.status": LOCATION_STATUS,
        "identifier.use": IDENTIFIER_USE,
        "subject.identifier.use": IDENTIFIER_USE,
    },
}
"""Elements with a required binding that say something here, by resource."""


def check_form(resource: Json) -> None:
    """Hold a resource against FHIR R4.

    Raises:
        NotUsable: an element is missing, unknown, of another type, or its code is none of its required binding; its path
            is named, not its value.
    """
    kind = str(resource.get("resourceType"))
    for path, codes in REQUIRED[kind].items():
        for found in _values(resource, path.split(".")):
            if found not in codes:
                raise NotUsable(f"{kind}.{path}: not a code of its required binding")
    try:
        _model(kind).model_validate(dict(resource))
    except ValidationError as error:
        places = sorted({_place(kind, problem["loc"]) for problem in error.errors(include_input=False)})
        raise NotUsable(f"{', '.join(places)}: not as FHIR R4 defines it") from None


@cache
def _model(kind: str) -> Any:
    from fhir.resources.R4B.appointment import Appointment
    from fhir.resources.R4B.encounter import Encounter

    return {"Appointment": Appointment, "Encounter": Encounter}[kind]


def _place(kind: str, location: tuple[int | str, ...]) -> str:
    """The element at fault, by the standard's name; a name that the sender made up is not repeated."""
    first = next((part for part in location if isinstance(part, str)), "")
    names = {field.alias or name for name, field in _model(kind).model_fields.items()}
    return f"{kind}.{first}" if first in names else f"{kind}.(an element it does not have)"


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    """Every value at a path, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from _values(one, path)
    elif not path:
        yield value if isinstance(value, str) else None
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])
