"""The inputs of tests/fixtures/field, made after public bug reports, sent by the documented ways: each does what it must."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlmodel import select

from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import Hl7Receiver
from store.engine import Database
from store.keys import Keyring
from store.tables import AlertRecord, ClaimVersion, Transmission
from tests.kit import events as e
from tests.kit import fhir_fixtures as fhir
from tests.kit import hl7_fixtures as hl7
from tests.kit.claims import LATER, encounter_of, send
from tests.kit.gateway import Gateway
from tests.kit.mllp import Client, framed
from tests.kit.recorder import Recorder, recorder
from workflows.messages import ClaimMoment

FIELD = Path(__file__).parents[1] / "fixtures" / "field"
IGNORE = 'unmapped = "ignore"\n'


@dataclass
class Claims:
    """Two transmitted claims of one encounter: C is the one that is answered, A the other one."""

    r: Recorder
    encounter: str

    def version(self, letter: str) -> ClaimVersion:
        with self.r.service.db.read() as session:
            query = select(ClaimVersion).where(
                ClaimVersion.letter == letter, ClaimVersion.encounter_id == self.encounter
            )
            return session.exec(query).one()

    def text(self, name: str) -> str:
        claim, other = self.version("C"), self.version("A")
        with self.r.service.db.read() as session:
            sent = session.exec(select(Transmission).where(Transmission.control_number == claim.control_number)).one()
        values = {
            "@CLAIM@": claim.control_number,
            "@OTHER@": other.control_number,
            "@CHARGE@": claim.total,
            "@OTHER_CHARGE@": other.total,
            "@CHARGE_LESS_100@": claim.total - 100,
            "@INTERCHANGE9@": f"{sent.interchange:09d}",
        }
        text = (FIELD / name).read_bytes().decode("latin-1")
        for mark, value in values.items():
            text = text.replace(mark, str(value))
        return text

    async def post(self, name: str) -> list[str]:
        """Send a file; the departures it has."""
        body = self.text(name).encode("latin-1")
        answer = await self.r.http.post("/v1/replies", content=body, headers={"Content-Type": "application/edi-x12"})
        assert answer.status_code == 202, answer.text
        self.follow()
        return list(answer.json()["departures"])

    def follow(self) -> None:
        for letter in "AC":
            moment = ClaimMoment(encounter=self.encounter, letter=letter, ordinal=1, now=LATER + timedelta(hours=1))
            self.r.activities.claim_life.follow_claim(moment)

    def kinds(self) -> set[str]:
        with self.r.service.db.read() as session:
            found = session.exec(select(AlertRecord.kind).where(AlertRecord.encounter_id == self.encounter))
            return {kind for kind in found if kind.startswith("claim_")}


async def claims_of(r: Recorder) -> Claims:
    encounter = await encounter_of(r)
    for letter in "AC":
        assert send(r, encounter, letter).state == "transmitted"
    return Claims(r, encounter)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("x12-01-277ca-refused-separator-gt.x12", ("rejected", "transmitted")),
        ("x12-03-277ca-ctrl-z-at-end.x12", ("acknowledged", "transmitted")),
        ("x12-04-277ca-segments-end-with-line-feed.x12", ("acknowledged", "transmitted")),
        ("x12-05-277ca-byte-order-mark.x12", ("acknowledged", "transmitted")),
        ("x12-06-835-latin-1-payer-name.x12", ("paid", "transmitted")),
        ("x12-07-two-interchanges-two-sets-of-separators.x12", ("acknowledged", "rejected")),
        ("x12-08-835-guide-without-addendum.x12", ("paid", "transmitted")),
        ("x12-09-ta1-accepted.x12", ("transmitted", "transmitted")),
        ("x12-10-835-without-payer-contact.x12", ("paid", "transmitted")),
    ],
)
async def test_a_payer_file_has_its_effect(tmp_path: Path, name: str, states: tuple[str, str]) -> None:
    async with recorder(tmp_path) as r:
        claims = await claims_of(r)
        await claims.post(name)
        assert (claims.version("C").state, claims.version("A").state) == states
        assert ("claim_rejected" in claims.kinds()) == ("rejected" in states)


async def test_a_withheld_amount_reduces_what_another_claim_was_paid(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        claims = await claims_of(r)
        other = claims.version("A")
        paid = {
            "specversion": "1.0",
            "id": "paid-before",
            "source": "/x12/835/payer",
            "subject": other.control_number,
            "type": "cart.claim.remitted",
            "time": LATER.isoformat(),
            "data": {"control_number": other.control_number, "status": "1", "paid": str(other.total)},
        }
        await r.post([paid])
        await claims.post("x12-02-835-recoupment-separator-gt.x12")
        kept = claims.version("A").standing["kept"]
        assert Decimal(kept) == other.total - 100
        assert "claim_taken_back" in claims.kinds()


HL7 = [
    (("hl7-01-no-return-after-last-segment.hl7",), ["booked"]),
    (("hl7-02-line-feed-in-a-note.hl7",), ["booked"]),
    (("hl7-03-character-set-iso-8859-1.hl7",), ["booked"]),
    (("hl7-04-version-2.6.hl7",), ["booked"]),
    (("hl7-05-message-time-of-16-digits.hl7",), ["booked"]),
    (("hl7-06a-booking.hl7", "hl7-06b-s14-with-status-cancelled.hl7"), ["cancelled"]),
    (("hl7-07a-booking.hl7", "hl7-07b-s17-deleted.hl7"), ["cancelled"]),
    (("hl7-08-sender-without-facility.hl7",), ["booked"]),
    (("hl7-09a-booking.hl7", "hl7-09b-a40-with-two-merges.hl7"), ["booked"]),
    (("hl7-10a-booking.hl7", "hl7-10b-s15-without-appointment-type.hl7"), ["cancelled"]),
]


@pytest.mark.parametrize("addition", ["", IGNORE], ids=["quarantine", "ignore"])
@pytest.mark.parametrize(
    ("names", "statuses"), HL7, ids=lambda value: value[-1][:6] if isinstance(value, tuple) else ""
)
async def test_a_message_has_its_effect(
    store: tuple[Database, Keyring], names: tuple[str, ...], statuses: list[str], addition: str
) -> None:
    more = (FIELD / "hl7-08-mapping.toml").read_text() if "hl7-08" in names[0] else ""
    mapping = hl7.mapping_with(addition) if not more else hl7.mapping_with(more)
    db, keys = store
    server = MllpServer(Hl7Receiver(db, keys, mapping, lambda: e.NOW, lambda: None), "127.0.0.1", 0)
    client = Client(*await asyncio.open_connection("127.0.0.1", await server.start()))
    for name in names:
        await client.write(framed((FIELD / name).read_bytes()))
        answer = await client.answer()
        assert (answer.get("MSA-1"), bool(answer.get("MSA-2"))) == ("AA", True), answer.get("MSA-3")
    await client.close()
    await server.stop()
    now = hl7.around(db, keys)
    assert [line.split()[2] for line in now["appointments"]] == statuses
    assert now["quarantine"] == []
    assert now["merges"] == (2 if "hl7-09" in names[0] else 0)


@pytest.mark.parametrize("addition", ["", IGNORE], ids=["quarantine", "ignore"])
@pytest.mark.parametrize(
    ("names", "request_line", "found"),
    [
        (("fhir-01-contained-patient-and-place.json",), "POST /v1/fhir", (1, 0)),
        (("fhir-02-resource-without-version-id.json",), "POST /v1/fhir", (1, 0)),
        (("fhir-03-encounter-with-a-class-of-the-vendor.json",), "POST /v1/fhir", (1, 1)),
        (("fhir-04-appointment-to-be-sent-by-put.json",), "PUT /v1/fhir/Appointment/fa4", (1, 0)),
    ],
    ids=["01", "02", "03", "04"],
)
async def test_a_resource_has_its_effect(
    gateway: Gateway, names: tuple[str, ...], request_line: str, found: tuple[int, int], addition: str
) -> None:
    classes = '@classes 1 = "inpatient"' if "fhir-03" in names[0] else addition
    fhir.admit(gateway, fhir.mapping_with(classes))
    if "fhir-03" in names[0]:
        booking = (FIELD / "fhir-01-contained-patient-and-place.json").read_bytes()
        assert (await fhir.send(gateway, "POST /v1/fhir", booking, {})).status_code == 200
    for name in names:
        answer = await fhir.send(gateway, request_line, (FIELD / name).read_bytes(), {"Accept": fhir.FHIR})
        assert answer.status_code == 200, answer.text
        assert "resourceType" in answer.json()
    now = fhir.around(gateway)
    assert (len(now["appointments"]), len(now["stays"])) == found


async def test_a_stay_known_here_ends_at_a_place_that_is_not_listed(gateway: Gateway) -> None:
    fhir.admit(gateway, fhir.mapping_with(IGNORE))
    for step in ("5a-booking", "5b-stay-begins", "5c-stay-ends-at-a-place-that-is-not-listed"):
        answer = await fhir.send(gateway, "POST /v1/fhir", (FIELD / f"fhir-0{step}.json").read_bytes(), {})
        assert answer.status_code == 200, answer.text
    (stay,) = fhir.around(gateway)["stays"]
    assert " to 2026-11-13" in stay
