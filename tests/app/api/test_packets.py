"""Evidence packets over HTTP and from the command line: who gets what, the same bytes again, everything on record."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from sqlmodel import select
from typer.testing import CliRunner

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import SEE_IDENTITY, TABLE, Right, Role
from app.cli.main import cli
from app.pdf.fonts_styles import printable
from store.tables import AuditEntry
from tests.kit.recorder import TOKEN, Recorder, feed, recorder
from tests.kit.sockets import listening

LATER = datetime(2026, 9, 1, tzinfo=UTC)
NAME = {"family": "Nováková-Żółć", "given": "Zoë Αθηνά Дарья"}
SECRET = ("MRN-C", "Nováková", "W123456789", "AUTH-C-1", "DOC-C-40")


@pytest.fixture(scope="module")
async def packed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Recorder, str]]:
    """An encounter with four claims, of a patient whose name needs more than one alphabet; Claim C was denied."""
    async with recorder(tmp_path_factory.mktemp("packets")) as r:
        events = feed("c_mcl_outpatient_crs")
        events[0]["data"]["patient"]["name"] = NAME
        events[0]["data"]["coverage"]["member_id"] = "W123456789"
        encounter = await r.decided(events, LATER)
        answer = (await r.http.get(f"/v1/encounters/{encounter}/claims/C")).json()
        denial = {
            "specversion": "1.0",
            "id": "denial-1",
            "source": "urn:test:clearinghouse",
            "type": "cart.claim.remitted",
            "subject": events[0]["subject"],
            "time": "2026-08-01T12:00:00Z",
            "data": {
                "control_number": answer["control_number"],
                "status": "4",
                "paid": "0.00",
                "adjustments": [{"group": "CO", "carc": "252", "amount": answer["total"]}],
                "rarc": ["N706", "M127"],
                "payer_claim_number": "PAYER-77",
            },
        }
        assert (await r.post(denial))["disposition"] == "accepted"
        r.decide(encounter, LATER)
        r.api.state.parts.access.actors |= {
            digest(f"token-of-{role.value}"): Actor(role.value, frozenset({role})) for role in Role
        }
        yield r, encounter


async def fetch(r: Recorder, path: str, accept: str = "application/json", role: str = "") -> httpx.Response:
    headers = {"Accept": accept} | ({"Authorization": f"Bearer token-of-{role}"} if role else {})
    return await r.http.get(path, headers=headers)


def text_of(body: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(body)).pages)


def entries(r: Recorder) -> list[AuditEntry]:
    with r.service.db.read() as session:
        return list(session.exec(select(AuditEntry).order_by(AuditEntry.at)))


async def test_the_pages_can_be_searched_and_carry_the_whole_name(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    answer = await fetch(r, f"/v1/encounters/{encounter}/packet", "application/pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    text = text_of(answer.content)
    for part in (
        f"{NAME['family']}, {NAME['given']}",
        "W123456789",
        "Prior therapy log",
        "ibrutinib",
        "AUTH-C-1",
        "Tecartus (brexucabtagene autoleucel)",
        "verified: 20 links",
        "Claim D/1",
        "J3262",
        "CRS grade 2",
        "Index of records",
    ):
        assert part in text, part
    chain = (await r.http.get(f"/v1/encounters/{encounter}/timeline")).json()["links"]
    assert {link["hash"] for link in chain} == {one for one in re.findall(r"[0-9a-f]{64}", text) if set(one) != {"0"}}


async def test_the_file_tells_readers_of_screens_its_title_and_language(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    reader = PdfReader(BytesIO((await fetch(r, f"/v1/encounters/{encounter}/packet", "application/pdf")).content))
    assert reader.trailer["/Root"]["/Lang"] == "en-US"
    assert reader.metadata is not None
    assert reader.metadata.creation_date == datetime(2000, 1, 1, tzinfo=UTC), (
        "the clock of whoever made it is in the file"
    )
    assert reader.metadata.title == f"Evidence packet, encounter {encounter}"
    assert reader.viewer_preferences is not None
    assert bool(reader.viewer_preferences.display_doctitle)
    marks = [mark.title for mark in reader.outline if not isinstance(mark, list)]
    assert {"Narrative", "Chain of identity and custody", "Claims"} <= set(marks)
    count = len(reader.pages)
    assert all(f"Page {n} of {count}" in page.extract_text() for n, page in enumerate(reader.pages, start=1))
    fonts = {font for page in reader.pages for font in page["/Resources"]["/Font"].values()}
    assert all("/FontFile2" in font.get_object()["/FontDescriptor"].get_object() for font in fonts)


async def test_the_same_records_give_the_same_bytes_whoever_asks(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    for path in (f"/v1/encounters/{encounter}/packet", f"/v1/encounters/{encounter}/claims/C/1/packet"):
        for accept in ("application/pdf", "application/json"):
            first, second = await fetch(r, path, accept), await fetch(r, path, accept, "biller")
            assert first.content == second.content
            named = re.search(r'filename="(.+)"', first.headers["content-disposition"])
            assert named
            suffix = accept.removeprefix("application/")
            assert named[1] == f"evidence-packet-{hashlib.sha256(first.content).hexdigest()[:12]}.{suffix}"


@pytest.mark.parametrize("role", list(Role))
async def test_who_may_have_it_and_who_may_see_the_patient(packed: tuple[Recorder, str], role: Role) -> None:
    r, encounter = packed
    for accept in ("application/pdf", "application/json"):
        answer = await fetch(r, f"/v1/encounters/{encounter}/packet", accept, role.value)
        if role not in TABLE[Right.MAKE_PACKETS]:
            assert answer.status_code == 403
            continue
        text = text_of(answer.content) if accept.endswith("pdf") else answer.text
        shown = {one for one in SECRET if one in text}
        assert shown == (set(SECRET) if role in SEE_IDENTITY else set()), (role, accept)


async def test_identity_can_be_withheld_by_who_may_see_it(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    answer = await fetch(r, f"/v1/encounters/{encounter}/packet?identity=withheld")
    assert (answer.json()["identity"], answer.json()["patient"]) == ("withheld", None)
    assert {one for one in SECRET if one in answer.text} == set()
    assert (await fetch(r, f"/v1/encounters/{encounter}/packet?identity=both")).status_code == 422


async def test_each_packet_is_on_record_with_its_maker_and_its_digest(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    answer = await fetch(r, f"/v1/encounters/{encounter}/packet", "application/pdf", "auditor")
    made = [
        e for e in entries(r) if e.actor == "auditor" and e.outcome.endswith(hashlib.sha256(answer.content).hexdigest())
    ]
    assert [(e.action, e.target) for e in made[-1:]] == [("packet of encounter, identity withheld", encounter)]
    assert {one for e in entries(r) for one in SECRET if one in e.action + e.target + e.outcome} == set()


async def test_a_denial_packet_answers_the_payers_reasons(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    path = f"/v1/encounters/{encounter}/claims/C/1/packet"
    packet = (await fetch(r, path)).json()
    assert packet["kind"] == "denial"
    assert packet["denied"]["payer_number"] == "PAYER-77"
    assert {one["number"] for one in packet["denied"]["denials"]} == {2, 6}
    assert packet["denied"]["missing"] == []
    text = text_of((await fetch(r, path, "application/pdf")).content)
    for part in (
        "Evidence packet for the denial of Claim C/1",
        "Denial #2",
        "Denial #6",
        "PAYER-77",
        "Missing documents",
        "CO-252",
    ):
        assert part in text, part


async def test_what_has_no_packet_says_why(packed: tuple[Recorder, str]) -> None:
    r, encounter = packed
    for path, status in (
        ("/v1/encounters/ORD-UNHEARD-OF/packet", 404),
        (f"/v1/encounters/{encounter}/claims/B/9/packet", 404),
        (f"/v1/encounters/{encounter}/claims/A/1/packet", 409),
        (f"/v1/encounters/{encounter}/claims/E/1/packet", 422),
    ):
        answer = await fetch(r, path)
        assert answer.status_code == status, path
        assert answer.json()["detail"]


def test_a_letter_no_font_has_is_named_and_never_an_empty_box() -> None:
    assert printable("Zoë Dvořák Łukasz Đặng Αθηνά Дарья") == "Zoë Dvořák Łukasz Đặng Αθηνά Дарья"
    assert printable("ＡＢ") == "AB"
    assert printable("李") == "[U+674E]"
    assert printable("a\tb\x07") == "a b "


async def test_the_command_line_writes_the_file_readable_by_its_owner_alone(
    packed: tuple[Recorder, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r, encounter = packed
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.chdir(tmp_path)
    with listening(r.api) as url:

        def run(*args: str) -> Any:
            return CliRunner().invoke(cli, ["packet", encounter, "--data-dir", str(tmp_path), "--url", url, *args])

        whole = run()
        assert whole.exit_code == 0, whole.output
        file = tmp_path / whole.output.strip()
        assert file.name.startswith("evidence-packet-")
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_bytes() == (await fetch(r, f"/v1/encounters/{encounter}/packet", "application/pdf")).content
        denial = run("--claim", "C", "--format", "json", "--withhold-identity", "--out", "denial.json")
        assert denial.exit_code == 0, denial.output
        assert json.loads((tmp_path / "denial.json").read_text())["identity"] == "withheld"
        assert run("--claim", "X").exit_code == 2
        assert run("--format", "docx").exit_code == 2
        assert "409" in str(run("--claim", "A/1").exception)
