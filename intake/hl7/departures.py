"""Where a message departs from the standard, or from what the mapping expects, and is read all the same.

An interface engineer sees by the counter and by `feed check` what a partner does; docs/feeds.md lists every kind.
"""

from __future__ import annotations

import re

from intake.hl7.appointment import STATUS, status_of
from intake.hl7.message import TIME, Message, day_alone
from intake.hl7.translate import OLDER
from intake.site_mapping import Feed, SiteMapping

TIME_FORM, DATE_ALONE, SENDER, OLDER_VERSION = "time_form", "date_without_time", "sender_empty", "version_older"
STATUS_CODE, DISCHARGE, MERGES, NO_TYPE = (
    "appointment_status_unlisted",
    "discharge_code_of_one_digit",
    "several_merges",
    "appointment_type_missing",
)
AS_THE_STANDARD_HAS_IT = re.compile(r"^\d{4}(\d\d){0,5}(\.\d{1,4})?([+-]\d{4})?$", re.ASCII)
STAY_TIMES = ("MSH-7.1", "EVN-2.1", "EVN-6.1", "PV1-44.1", "PV1-45.1")


def departures_in(message: Message, feed: Feed, mapping: SiteMapping) -> frozenset[str]:
    """The kinds of departures in fields that are read here, beside those of the message's form."""
    scheduling = message.trigger[0] == "SIU"
    paths = ("MSH-7.1", *feed.starts_at) if scheduling else STAY_TIMES
    times = [value for path in paths for value in message.values(path) if TIME.match(value)]
    discharge = message.get("PV1-36.1") or ""
    merges = len([value for segment in message.all("MRG") for value in message.repetitions(segment, 1)])
    found = {
        TIME_FORM: any(not AS_THE_STANDARD_HAS_IT.match(value) for value in times),
        DATE_ALONE: any(day_alone(value) for value in times),
        SENDER: None in message.sender,
        OLDER_VERSION: any(message.version in versions for versions in OLDER.values()),
        STATUS_CODE: scheduling and any(map(message.get, STATUS)) and status_of(message, mapping) is None,
        DISCHARGE: len(discharge) == 1 and discharge.isdigit() and discharge not in mapping.discharge,
        MERGES: merges > 1,
        NO_TYPE: scheduling and not any(message.values(path) for path in feed.appointment_type),
    }
    return frozenset(kind for kind, departs in found.items() if departs)
