"""The site's mapping file: senders, appointment types, locations and identifiers of the hospital, and their meaning here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from domain.events.access import BookableStage
from domain.events.base import FacilityKey, Key, Prose, Setting
from domain.events.care import AdmissionClass
from store.identifiers import Hint


class MappingError(ValueError):
    """The mapping file cannot be used; every problem is named with its field."""


def _is_path(value: str) -> str:
    parse_path(value)
    return value


Path = Annotated[str, AfterValidator(_is_path)]


def zone_name(value: str) -> str:
    """A time zone's name as it is.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("not a zone of the IANA database, for example America/New_York") from None
    return value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feed(_Part):
    """A sender, known by MSH-3 and MSH-4, and the fields of its messages.

    Attributes:
        client_certificate: common name or DNS name of the certificate this sender must show; any that the authority
            signed where it is absent. It counts where MLLP is served with TLS.
        processing_ids: MSH-11 of messages that are accepted; test and training messages (T, D) are refused by default.
        record_facility: the facility whose record numbers (MRN) the feed uses.
        record_authorities: assigning authority (PID-3.4, its name or its identifier) to the facility whose record
            numbers it assigns, for a feed that carries those of several; with it, numbers of no listed authority are
            ignored.
        order: fields that may hold an order number, the first present wins; it is the subject of the events.
        prior_visit: where a conversion (A06, A07) carries the number the visit had before, where it gets a new one.
        facilities: the facilities the sender may write for.
        silent_after_hours: how long it may be silent before an alert opens; never when absent.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    sending_application: str
    sending_facility: str
    client_certificate: Annotated[str, Field(min_length=1)] | None = None
    processing_ids: frozenset[str] = frozenset({"P"})
    record_facility: FacilityKey
    record_authorities: dict[str, FacilityKey] = {}
    facilities: Annotated[frozenset[FacilityKey], Field(min_length=1)]
    time_zone: str
    record_number_type: str = "MR"
    silent_after_hours: Annotated[float, Field(gt=0)] | None = None
    order: tuple[Path, ...] = ("SCH-26.1", "ORC-2.1", "PV1-50.1")
    appointment_id: tuple[Path, ...] = ("SCH-2.1", "SCH-1.1")
    appointment_type: tuple[Path, ...] = ("SCH-8.1",)
    starts_at: tuple[Path, ...] = ("SCH-11.4", "TQ1-7.1", "AIS-4.1")
    location: tuple[Path, ...] = ("AIL-3.1", "PV1-3.1")
    visit: tuple[Path, ...] = ("PV1-19.1",)
    prior_visit: tuple[Path, ...] = ("MRG-5.1",)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return zone_name(value)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def source(self) -> str:
        """The CloudEvents source of what this feed sends."""
        return f"urn:hl7v2:{self.sending_application}:{self.sending_facility}"


class FhirFeed(_Part):
    """A FHIR server, known by the name of the caller that notifies for it.

    Attributes:
        source: the base address of the server; the CloudEvents source of what it sends.
        record_number_system: system of the identifier that is the record number (MRN).
        order_system: system of the identifier of the order an appointment or stay is based on.
        facilities: the facilities it may write for; those of the caller where it is absent.
        silent_after_hours: as of `Feed`; heartbeats count.
        ask_at: base address for requests of missing notifications (`Subscription/…/$events`); absent, a gap is only
            alerted.
        token_file: file with the bearer token for that.
        client_id: our name at the server's authorization server (SMART Backend Services); then no `token_file`.
        key_file: file of our private keys (JWK set) for that; the first one that the server knows signs.
        token_url: where tokens are issued; as the server's `.well-known/smart-configuration` has it where absent.
        scope: what is asked for with a token.
        time_zone: of dates and of times without an offset; that of the HL7 feeds of the same facility where absent.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    source: Annotated[str, Field(min_length=1, max_length=200)]
    record_number_system: str
    record_facility: FacilityKey
    order_system: str | None = None
    facilities: Annotated[frozenset[FacilityKey], Field(min_length=1)] | None = None
    silent_after_hours: Annotated[float, Field(gt=0)] | None = None
    ask_at: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    token_file: str | None = None
    client_id: Annotated[str, Field(min_length=1)] | None = None
    key_file: str | None = None
    token_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    scope: str = "system/*.read"
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else zone_name(value)

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> FhirFeed:
        if (self.client_id is None) is not (self.key_file is None):
            raise ValueError("client_id and key_file: give both, or neither")
        if self.client_id is not None and self.token_file is not None:
            raise ValueError("token_file: not beside client_id")
        return self

    def may_write(self, caller: frozenset[str] | None) -> frozenset[str] | None:
        """The facilities that both the mapping and the caller's right allow; None means all."""
        if self.facilities is None or caller is None:
            return self.facilities if caller is None else caller
        return self.facilities & caller


class Appointment(_Part):
    """What an appointment type of the scheduling system is. Types marked `ignore` are unrelated to CAR-T."""

    type: str
    stage: BookableStage | None = None
    ignore: bool = False


class Location(_Part):
    """Which facility and setting a location of the hospital is."""

    location: str
    facility: FacilityKey
    setting: Setting


class Plan(_Part):
    """Which payer of the rulebook an insurance plan of the hospital (IN1-2, IN1-3) is."""

    code: Annotated[str, Field(min_length=1)]
    payer: Key
    plan: Prose | None = None


class SiteMapping(_Part):
    """The whole file.

    Attributes:
        unmapped: what happens with what is not listed: `quarantine` it, or `ignore` it where feeds carry the whole
            hospital. With `ignore`, unsupported triggers are ignored, too, and stays of unmatched patients are retained.
        aside_days: with `ignore`, how long messages from a listed location about unmatched patients are retained for a
            late referral.
        patient_classes: PV1-2, or Encounter.class of FHIR (a code, or `system|code`), to the class of a stay.
        plans: insurance plans to payers; a plan that is not listed names no payer.
        discharge: PV1-36 to the NUBC code of FL 17, where the hospital uses codes of its own.
        appointment_statuses: SCH-25 to what became of the booking, where the hospital uses codes beside HL7 table 0278.
    """

    unmapped: Literal["quarantine", "ignore"] = "quarantine"
    aside_days: Annotated[int, Field(ge=1, le=366)] = 30
    feeds: tuple[Feed, ...] = ()
    fhir_feeds: tuple[FhirFeed, ...] = ()
    appointments: tuple[Appointment, ...] = ()
    locations: tuple[Location, ...] = ()
    plans: tuple[Plan, ...] = ()
    patient_classes: dict[str, AdmissionClass] = {
        "I": AdmissionClass.INPATIENT,
        "O": AdmissionClass.OUTPATIENT,
        "B": AdmissionClass.OBSERVATION,
    }
    discharge: dict[str, str] = {}
    appointment_statuses: dict[str, Literal["booked", "cancelled", "missed", "pending"]] = {}
    admission_types: dict[str, str] = {}
    admission_sources: dict[str, str] = {}

    @property
    def whole_hospital(self) -> bool:
        """True where feeds carry the whole hospital."""
        return self.unmapped == "ignore"

    @property
    def retain_for(self) -> timedelta:
        """How long messages from a listed location about unmatched patients are retained."""
        return timedelta(days=self.aside_days)

    @property
    def longest_silences(self) -> dict[str, timedelta]:
        """The longest normal silence of feeds, for `FeedWatch`."""
        named = [(feed.name, feed.silent_after_hours) for feed in self.feeds]
        named += [(feed.name, feed.silent_after_hours) for feed in self.fhir_feeds]
        return {name: timedelta(hours=hours) for name, hours in named if hours is not None}

    def feed_of(self, application: str | None, facility: str | None) -> Feed | None:
        """The feed of a sender (MSH-3, MSH-4), or None. What a sender leaves empty, the file has empty, too."""
        sender = (application or "", facility or "")
        return next((f for f in self.feeds if (f.sending_application, f.sending_facility) == sender), None)

    def fhir_feed(self, name: str) -> FhirFeed | None:
        """The FHIR server that a caller notifies for, or None."""
        return next((feed for feed in self.fhir_feeds if feed.name == name), None)

    def appointment(self, kind: str) -> Appointment | None:
        return next((one for one in self.appointments if one.type == kind), None)

    def plan(self, code: str) -> Plan | None:
        return next((one for one in self.plans if one.code == code), None)

    def location(self, name: str) -> Location | None:
        return next((one for one in self.locations if one.location == name), None)


def unknown_facilities(mapping: SiteMapping, known: Collection[str]) -> list[str]:
    """Every facility the mapping names and the site file does not, with its place in the mapping."""
    named: list[tuple[str, str]] = []
    for kind, feeds in (("feeds", mapping.feeds), ("fhir_feeds", mapping.fhir_feeds)):
        for feed in feeds:
            place = f"{kind} {feed.name}"
            named.append((f"{place}: record_facility", feed.record_facility))
            named += [(f"{place}: facilities", facility) for facility in sorted(feed.facilities or ())]
    for one in mapping.feeds:
        named += [(f"feeds {one.name}: record_authorities", key) for key in sorted(one.record_authorities.values())]
    named += [(f"locations {one.location}: facility", one.facility) for one in mapping.locations]
    there = ", ".join(sorted(known))
    return [
        f"{place}: {key} is no facility of the site file, which has {there}" for place, key in named if key not in known
    ]


def parse_mapping(text: str) -> SiteMapping:
    """Read a mapping file.

    Raises:
        MappingError: it is not TOML or does not fit; every problem is named.
    """
    try:
        mapping = SiteMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"not TOML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise MappingError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)) from None
    for name, keys in (
        ("feeds", [(f.sending_application, f.sending_facility) for f in mapping.feeds]),
        ("fhir_feeds", [f.name for f in mapping.fhir_feeds]),
        ("appointments", [a.type for a in mapping.appointments]),
        ("locations", [one.location for one in mapping.locations]),
        ("plans", [one.code for one in mapping.plans]),
    ):
        if len(keys) != len(set(keys)):
            raise MappingError(f"{name}: repeated entry; keep one")
    both = [a.type for a in mapping.appointments if a.ignore is (a.stage is not None)]
    if both:
        raise MappingError(f"appointments: {', '.join(both)}: give a stage, or ignore = true")
    return mapping


_PATH = re.compile(r"^([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d{1,2}))?$", re.ASCII)


def parse_path(path: str) -> tuple[str, int, int]:
    """Segment, field and component of a path such as `PID-3` or `SCH-8.1`.

    Raises:
        ValueError: it is not of that form.
    """
    found = _PATH.match(path)
    if found is None:
        raise ValueError("a field path is written like SCH-8.1")
    return found.group(1), int(found.group(2)), int(found.group(3) or 1)


REORDERED = timedelta(days=2)
"""How long the end of a stay waits for its beginning, where messages arrive out of order."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Identifiers that may match an unusable message to a known patient.

    Attributes:
        numbers: order, visit and appointment numbers.
        keep: how long the message is retained for a later match; None where it is not retained.
        records: record numbers beside `record`: a message that joins or moves patients names several.
    """

    numbers: frozenset[str]
    record: Hint | None
    keep: timedelta | None
    records: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """The numbers that a message names, by their kind.

    Attributes:
        appointments: the appointment's own number (of the filler), or what stands for it.
        placers: the placer's numbers, where the message has no other: a system may give many appointments one of these.
    """

    orders: tuple[str, ...] = ()
    appointments: tuple[str, ...] = ()
    visits: tuple[str, ...] = ()
    placers: tuple[str, ...] = ()

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset((*self.orders, *self.appointments, *self.visits))


@dataclass(frozen=True, slots=True)
class Known:
    """What of that is known here.

    Attributes:
        appointment: the number under which the booking was reported first, whichever of its numbers a message names.
    """

    orders: frozenset[str] = frozenset()
    appointment: str | None = None
    visits: frozenset[str] = frozenset()


NOTHING_KNOWN = Known()
