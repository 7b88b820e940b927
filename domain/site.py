"""The site file: facilities, charges, certificates on file, payer identifiers and staff of one installation."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from stdnum import luhn
from stdnum.us import ein

from domain.events.base import FacilityKey, Key, Npi
from domain.events.care import FacilityReadiness
from domain.events.governance import CertificationChanged, CertificationStatus, Layer

NPI_PREFIX = "80840"
"""The issuer prefix over which the check digit of a National Provider Identifier is computed (ISO 7812, CMS NPI standard)."""


class SiteError(ValueError):
    """The site file cannot be used; `problems` names each field and its fix."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def npi_is_valid(npi: str) -> bool:
    """Ten digits whose last is the Luhn check digit over 80840 and the number."""
    return len(npi) == 10 and npi.isdigit() and luhn.is_valid(NPI_PREFIX + npi)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Partner = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,14}$")]
"""An interchange identifier (ISA06, ISA08): at most fifteen characters, none of them a delimiter."""
Mode = Literal["shadow", "live"]
"""In shadow, files carry the test indicator and stay in a separate outbox."""


class Address(_Part):
    line: str
    city: str
    state: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    postal_code: Annotated[str, Field(pattern=r"^\d{5}\d{4}?$")]


class Facility(_Part):
    """A place of care. `hospital_class` decides the payment window (corrections C5), `owner_group` which facilities share it.

    `operating_npi` and `operating_name` name the operating provider of a stay (FL 77), where payers require one.
    `drg_base_rate` is Medicare's payment for a relative weight of one, in United States dollars; the payment of a stay is
    checked against it. With `mode` shadow, claims of this facility stay in shadow, whatever the mode of the payer.
    """

    key: FacilityKey
    name: str
    npi: Npi
    tax_id: str
    taxonomy: Annotated[str, Field(pattern=r"^[0-9A-Z]{9}X$")]
    ccn: str | None = None
    time_zone: str
    hospital_class: Literal["ipps", "exempt", "office"]
    owner_group: str
    roles: tuple[Literal["apheresis", "infusion", "lymphodepletion", "office"], ...]
    mac: str | None = None
    drg_base_rate: Annotated[Decimal, Field(gt=0, decimal_places=2)] | None = None
    mode: Mode = "live"
    address: Address
    phone: str
    pharmacy: str | None = None
    attending_npi: Npi
    attending_name: tuple[str, str]
    attending_taxonomy: Annotated[str, Field(pattern=r"^[0-9A-Z]{9}X$")] = "207RH0003X"
    operating_npi: Npi | None = None
    operating_name: tuple[str, str] | None = None

    @field_validator("npi", "attending_npi", "operating_npi")
    @classmethod
    def _check_digit(cls, value: str | None) -> str | None:
        if value is not None and not npi_is_valid(value):
            raise ValueError("the check digit of this NPI is wrong; copy it again from the NPPES record")
        return value

    @field_validator("tax_id")
    @classmethod
    def _employer_number(cls, value: str) -> str:
        if not ein.is_valid(value):
            raise ValueError("not an employer identification number; nine digits with a campus prefix the IRS assigns")
        return ein.compact(value)

    @model_validator(mode="after")
    def _operating_provider_is_whole(self) -> Facility:
        if (self.operating_npi is None) != (self.operating_name is None):
            raise ValueError("operating_npi and operating_name go together; give both or neither")
        return self

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("not a zone of the IANA database, for example America/New_York") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class ChargeItem(_Part):
    """A price of the chargemaster for one service of the claims, used where no charge was posted."""

    service: str
    amount: Annotated[Decimal, Field(ge=0, decimal_places=2)]
    per: Literal["unit", "line"] = "unit"


class SiteCertificate(_Part):
    """A certificate on file. The same columns as the event that changes it."""

    layer: Layer
    product: Key | None = None
    holder: str
    valid_from: date
    valid_to: date | None = None
    document: str | None = None

    def as_change(self) -> CertificationChanged:
        return CertificationChanged(
            layer=self.layer,
            product=self.product,
            holder=self.holder,
            status=CertificationStatus.ACTIVE,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            document=self.document,
        )


class Readiness(_Part):
    """What a center has on hand at installation; `cart.readiness.changed` updates it."""

    facility: FacilityKey
    tocilizumab_doses: Annotated[int, Field(ge=0)]
    icu_backup: bool

    def as_change(self) -> FacilityReadiness:
        return FacilityReadiness(
            facility=self.facility, tocilizumab_doses=self.tocilizumab_doses, icu_backup=self.icu_backup
        )


class PayerId(_Part):
    """A payer of this site: its key in the rulebook and its electronic identifiers.

    `answers_from`: other sender identifiers (ISA06) under which the trading partner responds to what `receiver_id` received.
    """

    key: Key
    name: str
    receiver_id: Partner
    answers_from: tuple[Partner, ...] = ()
    payer_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,79}$")]
    mode: Mode = "shadow"


class Site(_Part):
    """One installation. Amounts are United States dollars.

    Claims go out live only where installation, facility and payer are all `live`. Claims to one payer that fall due within
    `batch_minutes` of the first share an interchange; with 0 each has its own.
    """

    name: str
    mode: Mode = "live"
    submitter_id: Partner
    contact_name: str
    contact_phone: str
    product_invoice_cost: dict[Key, Decimal] = {}
    bill_hold_days: Annotated[int, Field(ge=0, le=30)] = 4
    batch_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    whole_house_remittances: bool = False
    facilities: tuple[Facility, ...]
    payers: tuple[PayerId, ...]
    charges: tuple[ChargeItem, ...] = ()
    certifications: tuple[SiteCertificate, ...] = ()
    readiness: tuple[Readiness, ...] = ()

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Site:
        for name, keys in (
            ("facilities", [f.key for f in self.facilities]),
            ("payers", [p.key for p in self.payers]),
            ("charges", [c.service for c in self.charges]),
            ("readiness", [r.facility for r in self.readiness]),
        ):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            if twice:
                raise ValueError(f"{name}: {', '.join(twice)} is listed twice; keep one")
        known = {f.key for f in self.facilities}
        for readiness in self.readiness:
            if readiness.facility not in known:
                raise ValueError(f"readiness: {readiness.facility} is not one of the facilities")
        return self

    def facility(self, key: str) -> Facility | None:
        """The facility with that key, or None when the site file does not list it."""
        return next((f for f in self.facilities if f.key == key), None)

    def mode_of(self, payer: PayerId, facility: str) -> Mode:
        """How claims of the facility go to the payer: live where installation, facility and payer are live, else shadow."""
        place = self.facility(facility)
        modes = {self.mode, payer.mode, place.mode if place else "shadow"}
        return "shadow" if "shadow" in modes else "live"

    def payer(self, key: str) -> PayerId | None:
        return next((p for p in self.payers if p.key == key), None)

    def price(self, service: str) -> ChargeItem | None:
        return next((c for c in self.charges if c.service == service), None)


def parse_site(text: str) -> Site:
    """Read a site file.

    Raises:
        SiteError: the file is not TOML or a field is not valid; every problem is named with its field.
    """
    try:
        return Site.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SiteError((f"not TOML: {error}",)) from error
    except ValidationError as error:
        raise SiteError(
            tuple(
                f"{'.'.join(map(str, e['loc'])) or 'site'}: {e['msg'].removeprefix('Value error, ')}"
                for e in error.errors()
            )
        ) from error
