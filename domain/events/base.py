"""Field types that every event of the catalog shares."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""An identifier from another system: order, document, bag, charge. Shown only from the vault when it names a person."""

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A key of the rulebook or of the site file: lower case, digits and underscores."""

FacilityKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A facility key of the site file."""

Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Npi = Annotated[str, StringConstraints(pattern=r"^\d{10}$")]
DiagnosisCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$")]
"""ICD-10-CM with its dot, as printed in the tabular list (C83.18)."""

ProcedureCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NP-Z]{7}$")]
ServiceCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{5}$")]
Ndc = Annotated[str, StringConstraints(pattern=r"^(\d{4,5}-\d{3,4}-\d{1,2}|\d{11})$")]
"""National Drug Code: hyphenated (5-3-2, 4-4-2, 5-4-1, 5-4-2) or eleven digits."""


MONEY = re.compile(r"^-?\d{1,10}(\.\d{1,2})?$")
MONEY_FORM = 'money is a decimal string with at most two places, for example "1250.00"'


def _money_is_text(value: object) -> object:
    if isinstance(value, (int, float)):
        raise ValueError(MONEY_FORM)
    if isinstance(value, str) and not MONEY.match(value):
        raise ValueError(MONEY_FORM)
    return value


Money = Annotated[
    Decimal,
    BeforeValidator(_money_is_text),
    Field(max_digits=12, decimal_places=2, strict=False),
    WithJsonSchema({"type": "string", "pattern": MONEY.pattern}),
]
"""United States dollars as a decimal string with at most two places."""

Milligrams = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=3)]
Cells = Annotated[int, Field(ge=0, le=10**12)]
"""A count of viable CAR-positive T cells."""


KEPT = "kept"
"""In the context of a validation: the event was received before."""


class Strict(BaseModel):
    """Refuses unknown fields and converts no JSON type to another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_inf_nan="strings")


class EventData(Strict):
    """The `data` of one event type. `occurred` names the field that carries the clinical time, if there is one."""

    event_type: ClassVar[str]
    occurred_field: ClassVar[str | None] = None

    def occurred(self, time: datetime) -> datetime:
        """The clinical time: the documented one, or the `time` of the envelope."""
        value = getattr(self, self.occurred_field) if self.occurred_field else None
        return value if isinstance(value, datetime) else time


class Stage(StrEnum):
    """The five stages of the encounter (G51-55), and what follows them."""

    APHERESIS = "apheresis"
    MANUFACTURING = "manufacturing"
    LYMPHODEPLETION = "lymphodepletion"
    INFUSION = "infusion"
    MONITORING = "monitoring"
    CLOSED = "closed"


class Setting(StrEnum):
    """Where a service is given (G283-290)."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"
    OFFICE = "office"


class Access(StrEnum):
    """Venous access of an infusion or a collection; decides the ICD-10-PCS code of an infusion (G331)."""

    PERIPHERAL = "peripheral"
    CENTRAL = "central"


Zoned = AwareDatetime
