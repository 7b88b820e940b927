"""A claim asked for as X12: the 837 with the patient's identity, marked as a test in shadow mode, and on record."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from sqlmodel import select

from domain.billing.x12 import validate
from store.tables import AuditEntry
from tests.kit.claims import encounter_of
from tests.kit.recorder import recorder

X12 = {"accept": "application/edi-x12"}


async def test_a_claim_is_given_as_its_837_and_that_is_on_record(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        encounter = await encounter_of(r)
        for letter in "ABC":
            answer = await r.http.get(f"/v1/encounters/{encounter}/claims/{letter}", headers=X12)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("application/edi-x12")
            assert validate(answer.text) == []
            assert answer.text.splitlines()[0].split("*")[15] == "T"
        assert "NM1*IL*1*" in answer.text
        again = await r.http.get(f"/v1/encounters/{encounter}/claims/C/1", headers=X12)
        assert again.text == answer.text
        with r.service.db.read() as session:
            entries = session.exec(select(AuditEntry).where(AuditEntry.action == "claim_file")).all()
        assert [entry.target for entry in entries] == [encounter] * 4


async def test_a_claim_is_returned_as_its_form_without_external_files_or_identity(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        encounter = await encounter_of(r)
        path = f"/v1/encounters/{encounter}/claims/C"
        answer = await r.http.get(path, headers={"accept": "text/html"})
        assert answer.headers["content-type"].startswith("text/html")
        style = answer.text.partition("<style>")[2].partition("</style>")[0]
        known = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{known}'" in answer.headers["content-security-policy"]
        assert "FL 77 operating provider" in answer.text
        assert "SYNTHETIC" not in answer.text
        for accepted in ("application/json, text/html", "*/*"):
            assert (await r.http.get(path, headers={"accept": accepted})).json()["letter"] == "C"
