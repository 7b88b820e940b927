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

R5_STATUS: Mapping[str, str] = {
    "on-hold": "onleave",
    "discharged": "finished",
    "completed": "finished",
    "discontinued": "finished",
}
"""EncounterStatus of R5 beside the codes of R4, and what R4 has for it: one that was discontinued had begun, and ended.
https://hl7.org/fhir/R5/valueset-encounter-status.html"""

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


NOT_READ = frozenset(
    [
        "account", "appointment", "cancelationReason", "cancellationReason", "comment", "contained", "created",
        "description", "diagnosis", "end", "episodeOfCare", "extension", "implicitRules", "language", "length",
        "minutesDuration", "note", "participantInstruction", "patientInstruction", "priority", "reason",
        "reasonCode", "reasonReference", "requestedPeriod", "serviceCategory", "serviceProvider", "slot",
        "specialty", "supportingInformation", "text", "type",
    ]
)  # fmt: skip
"""Elements from which nothing is taken, beside those that say whom and where: a fault in one of them changes nothing."""
NOT_READ_FORM = "form_of_unread_element"


def check_form(resource: Json, departures: set[str], *, newer: bool = False) -> bool:
    """Hold a resource against FHIR R4, and what does not fit against R5; returns whether it is R5.

    Args:
        departures: gets what is at fault without meaning anything here.
        newer: it has elements or codes of R5.

    Raises:
        NotUsable: an element is missing, unknown, of another type, or its code is none of its required binding; its path
            is named, not its value.
    """
    kind = str(resource.get("resourceType"))
    for path, codes in REQUIRED[kind].items():
        allowed = codes | frozenset(R5_STATUS) if newer and path == "status" and kind == "Encounter" else codes
        for found in _values(resource, path.split(".")):
            if found not in allowed:
                raise NotUsable(f"{kind}.{path}: not a code of its required binding")
    faults = None if newer else _faults(resource, kind, "R4B")
    if faults is not None and not faults:
        return False
    later = _faults(resource, kind, "R5")
    if later and not newer and faults and _unread(faults) and not _faults(_without(resource, faults), kind, "R4B"):
        departures.add(NOT_READ_FORM)
        return False
    if later and newer and _unread(later) and not _faults(_without(resource, later), kind, "R5"):
        departures.add(NOT_READ_FORM)
        return True
    if later:
        release = "R5" if newer else "R4"
        raise NotUsable(f"{', '.join(faults or later)}: not as FHIR {release} defines it")
    return True


def _unread(faults: list[str]) -> bool:
    return all(fault.split(".", 1)[1] in NOT_READ for fault in faults)


def _without(resource: Json, faults: list[str]) -> Json:
    names = {fault.split(".", 1)[1] for fault in faults}
    return {name: value for name, value in resource.items() if name.lstrip("_") not in names}


def _faults(resource: Json, kind: str, release: str) -> list[str]:
    """The elements at fault."""
    try:
        _model(kind, release).model_validate(dict(resource))
    except ValidationError as error:
        return sorted({_place(kind, release, problem["loc"]) for problem in error.errors(include_input=False)})
    except Exception:  # noqa: BLE001 a contained resource of a type that the library does not know ends in a KeyError
        return [f"{kind}.contained"]  # named alone: what else is at fault shows without it
    return []


@cache
def _model(kind: str, release: str) -> Any:
    if release == "R5":
        from fhir.resources import appointment, encounter
    else:
        from fhir.resources.R4B import appointment, encounter  # type: ignore[no-redef]

    return {"Appointment": appointment.Appointment, "Encounter": encounter.Encounter}[kind]


def _place(kind: str, release: str, location: tuple[int | str, ...]) -> str:
    """The element at fault, by the standard's name; a name that the sender made up is not repeated."""
    first = next((part for part in location if isinstance(part, str)), "")
    names = {field.alias or name for name, field in _model(kind, release).model_fields.items()}
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
