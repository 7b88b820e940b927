"""A resource as its server writes it, brought into the form of FHIR R4 that is read here; each departure is named.

R5 has other names for the period and the end of an encounter, a list of classes, other codes of status. Servers write times
without a zone or a second, a status in capitals, empty elements.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from intake.faults import NotUsable
from intake.fhir.bindings import APPOINTMENT_STATUS, ENCOUNTER_STATUS, R5_STATUS, check_form
from intake.fhir.json_values import Json, codings, mapping, mappings
from intake.site_mapping import FhirFeed, SiteMapping

R5, EMPTY, SPELLING = "r5_form", "empty_element", "status_spelling"
DATE_ALONE, NO_OFFSET, TIME_FORM = "date_without_time", "time_without_offset", "time_form"
NO_PARTICIPANT, CONTAINED_ID, CLASS_FORM = "participant_missing", "contained_id", "class_form"

SPELLINGS: Mapping[str, str] = {
    "canceled": "cancelled",
    "no-show": "noshow",
    "checkedin": "checked-in",
    "inprogress": "in-progress",
    "on-leave": "onleave",
    "enteredinerror": "entered-in-error",
}

R5_NAMES: Mapping[str, str] = {"actualPeriod": "period", "admission": "hospitalization"}
WITHOUT_PARTICIPANT = ("cancelled", "entered-in-error", "noshow")

_DATE = re.compile(r"^\d{4}-\d\d-\d\d$", re.ASCII)
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?([.,]\d+)?\s*(Z|z|[+-]\d\d(?::?\d\d)?)?$", re.ASCII)
NO_ZONE = "a time without an offset: give the feed its time_zone in the mapping file"
DAY_ENDS = "T23:59:59"


@dataclass(frozen=True, slots=True)
class Form:
    """A resource in the form of R4, and in what it departed from it."""

    resource: dict[str, Any]
    departures: frozenset[str]


def in_form(resource: Json, feed: FhirFeed, mapping_file: SiteMapping) -> Form:
    """The resource as R4 has it, held against the standard.

    Raises:
        NotUsable: an element is at fault (`check_form`), or a time has no offset, and nothing says of which zone it is.
    """
    found: set[str] = set()
    made = copy.deepcopy(dict(resource))
    if _without_empty(made):
        found.add(EMPTY)
    kind = made.get("resourceType")
    codes = ENCOUNTER_STATUS | frozenset(R5_STATUS) if kind == "Encounter" else APPOINTMENT_STATUS
    _spelled(made, found, codes)
    zone = _zone(feed, mapping_file)
    for path, holder, name in _times(made):
        holder[name] = _time(holder[name], f"{kind}.{path}", zone, found, ends=name == "end")
    if kind == "Appointment" and str(made.get("status")) in WITHOUT_PARTICIPANT and "participant" not in made:
        found.add(NO_PARTICIPANT)
        made["participant"] = [{"status": "declined"}]
    for one in mappings(made.get("contained")):
        if isinstance(one, dict) and str(one.get("id", "")).startswith("#"):
            one["id"] = one["id"][1:]
            found.add(CONTAINED_ID)
    _check(made, found)
    return Form(made, frozenset(found))


def _check(made: dict[str, Any], found: set[str]) -> None:
    """Hold it against the standard: as R5, or as R4, where a concept or a list may be its class, against R4, too."""
    concept = made.get("class")
    if isinstance(concept, dict) and "coding" in concept:
        concept = [concept]
    if (
        isinstance(concept, list)
        and not any(name in made for name in R5_NAMES)
        and str(made.get("status")) not in R5_STATUS
    ):
        every = [coding for one in concept for coding in codings(one)]
        check_form(made | {"class": dict(every[0]) if every else {}}, found)
        made["class"] = concept
        found.add(CLASS_FORM)
        return
    if check_form(made, found, newer=_is_newer(made)):
        found.add(R5)
        _as_r4(made)


def _is_newer(made: Json) -> bool:
    """Whether it is written as R5 has it."""
    if made.get("resourceType") == "Appointment":
        return any("concept" in one for one in mappings(made.get("serviceType")))
    r5 = isinstance(made.get("class"), list) or any(name in made for name in R5_NAMES)
    return r5 or str(made.get("status")) in R5_STATUS


def _as_r4(made: dict[str, Any]) -> None:
    """What is read of R5, by its names in R4."""
    for name, older in R5_NAMES.items():
        if name in made:
            made.setdefault(older, made.pop(name))
    if made.get("resourceType") == "Encounter":
        status = str(made.get("status"))
        made["status"] = R5_STATUS.get(status, status)
    services = made.get("serviceType")
    if any("concept" in one for one in mappings(services)):
        made["serviceType"] = [concept for one in mappings(services) if (concept := mapping(one.get("concept")))]


def _without_empty(value: Any) -> bool:
    """Take out members that say nothing: null, an empty text, list or object. Entries of lists stay: their places count."""
    changed = False
    if isinstance(value, dict):
        for name in list(value):
            changed |= _without_empty(value[name])
            if value[name] is None or value[name] in ("", [], {}):
                del value[name]
                changed = True
    elif isinstance(value, list):
        for one in value:
            changed |= _without_empty(one)
    return changed


def _spelled(made: dict[str, Any], found: set[str], codes: frozenset[str]) -> None:
    """A status in capitals, with blanks, or by its other spelling."""
    stated = made.get("status")
    if not isinstance(stated, str) or stated in codes:
        return
    plain = re.sub(r"[\s_]+", "-", stated.strip().lower())
    plain = SPELLINGS.get(plain, plain)
    if plain in codes:
        found.add(SPELLING)
        made["status"] = plain


def _times(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every time that is read, with where it stands."""
    holders: list[tuple[str, Any, tuple[str, ...]]] = [
        ("meta.", made.get("meta"), ("lastUpdated",)),
        ("period.", made.get("period"), ("start", "end")),
    ]
    if made.get("resourceType") == "Appointment":
        holders.append(("", made, ("start", "end")))
    history = made.get("classHistory")
    for one in history if isinstance(history, list) else ():
        holders.append(("classHistory.period.", mapping(one).get("period"), ("start", "end")))
    for path, holder, names in holders:
        if isinstance(holder, dict):
            yield from ((f"{path}{name}", holder, name) for name in names if isinstance(holder.get(name), str))


def _time(value: str, path: str, zone: ZoneInfo | None, found: set[str], *, ends: bool) -> str:
    """A time as R4 writes it: what is as it should be stays as it is."""
    if _DATE.match(value):
        found.add(DATE_ALONE)
        # A period that ends with a day holds all of it (https://hl7.org/fhir/R4/datatypes.html#Period).
        return _zoned(f"{value}{DAY_ENDS if ends else 'T00:00:00'}", path, zone)
    parts = _TIME.match(value)
    if parts is None:
        return value
    day, minute, second, fraction, offset = parts.groups()
    if offset is None:
        found.add(NO_OFFSET)
        return _zoned(f"{day}T{minute}{second or ':00'}", path, zone)
    plain = offset.upper()
    if plain != "Z":
        plain = f"{plain[:3]}:{plain[3:].lstrip(':') or '00'}"
    made = f"{day}T{minute}{second or ':00'}{(fraction or '').replace(',', '.')}{plain}"
    if made != value:
        found.add(TIME_FORM)
    return made


def _zoned(value: str, path: str, zone: ZoneInfo | None) -> str:
    if zone is None:
        raise NotUsable(f"{path}: {NO_ZONE}")
    try:
        return datetime.fromisoformat(value).replace(tzinfo=zone).isoformat()
    except ValueError:
        raise NotUsable(f"{path}: not a time") from None


def _zone(feed: FhirFeed, mapping_file: SiteMapping) -> ZoneInfo | None:
    """Of the feed; else of the HL7 feeds whose record numbers are of the same facility, where they agree."""
    if feed.time_zone is not None:
        return ZoneInfo(feed.time_zone)
    zones = {one.time_zone for one in mapping_file.feeds if one.record_facility == feed.record_facility}
    return ZoneInfo(zones.pop()) if len(zones) == 1 else None
