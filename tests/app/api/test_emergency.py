"""Emergency access: one person, one encounter, one hour, reads only; each read and each access on record and reviewed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pytest
from sqlmodel import select

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import Role
from domain.rulebook import Rulebook
from domain.rulebook.treatment_rows import Window
from intake.inbox.receive import receive
from store.emergency import active, grant, listed, outcome_of, review
from store.engine import Database
from store.erasure import erase_patient
from store.keys import Keyring
from store.tables import AlertRecord, AuditEntry, EmergencyAccess, Encounter
from store.vault import audit
from tests.app.api.endpoints import ENDPOINTS, IN_EMERGENCY
from tests.app.api.test_access import call
from tests.kit import events as e
from tests.kit.gateway import Gateway
from tests.kit.rows import claim_row

REASON = "the patient is in intensive care elsewhere"
HERE, THERE = frozenset({"st_mary"}), frozenset({"lakeside"})
ON_CALL = Actor("on call", frozenset({Role.LAB, Role.EMERGENCY}), THERE)
OTHER = Actor("other on call", frozenset({Role.LAB, Role.EMERGENCY}), THERE)
ALONE = Actor("alone", frozenset({Role.EMERGENCY}))
PRIVACY = Actor("privacy", frozenset({Role.AUDITOR}))


@dataclass
class Clock:
    now: datetime = e.NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(gateway: Gateway) -> Clock:
    """A moving clock, and the callers of these tests, each with its name as its token."""
    made = Clock()
    gateway.api.state.parts = replace(gateway.api.state.parts, clock=made)
    callers = (ON_CALL, OTHER, ALONE, PRIVACY, Actor("both", frozenset({Role.ADMIN, Role.EMERGENCY})))
    gateway.api.state.parts.access.actors |= {digest(one.name): one for one in callers}
    return made


async def opening(gateway: Gateway, who: str, ref: str = "ORD-1", reason: object = REASON) -> httpx.Response:
    return await gateway.http.post(
        f"/v1/encounters/{ref}/emergency-access",
        json={"reason": reason},
        headers={"Authorization": f"Bearer {who}"},
    )


async def ask(gateway: Gateway, who: str, method: str, path: str) -> httpx.Response:
    return await gateway.http.request(method, path, headers={"Authorization": f"Bearer {who}"})


def outcomes(gateway: Gateway, who: str) -> list[tuple[str, str, str]]:
    with gateway.db.read() as session:
        rows = session.exec(select(AuditEntry).where(AuditEntry.actor == who)).all()
    return [(row.action, row.target, row.outcome) for row in rows]


@pytest.mark.parametrize("who", [ON_CALL.name, ALONE.name])
async def test_an_opened_encounter_is_read_for_an_hour_and_nothing_else_is(
    gateway: Gateway, clock: Clock, who: str
) -> None:
    """Every endpoint: the reads of one encounter open, whatever writes, lists or hands out packets stays as it was."""
    encounter = await gateway.opened()
    with gateway.db.write() as session:
        session.add(claim_row(encounter, "A", 1, 1, "emitted"))
    before = {key: (await call(gateway, who, *key)).status_code for key in ENDPOINTS if "emergency" not in key[1]}
    assert {before[("GET", path)] for path in IN_EMERGENCY} == {404}
    answer = await opening(gateway, who)
    assert answer.status_code == 201, answer.text
    access = answer.json()
    assert access["encounter_id"] == encounter
    assert datetime.fromisoformat(access["until"]) == e.NOW + timedelta(hours=1)
    for method, path in before:
        found = await call(gateway, who, method, path)
        wanted = 200 if path in IN_EMERGENCY else before[(method, path)]
        assert found.status_code == wanted, (method, path, found.text)
        if path not in IN_EMERGENCY:
            assert encounter not in found.text, path
    lines = (await call(gateway, who, "GET", "/v1/encounters/{ref}/explain")).json()["explanations"]
    assert any(one["what"] == "claim_line" for one in lines)
    reads = [one for one in outcomes(gateway, who) if one[2].startswith("read") and one[1] == encounter]
    assert len(reads) == len(IN_EMERGENCY) + 1
    assert {outcome for _, _, outcome in reads} == {f"read under emergency access {access['access_id']}"}
    clock.now += timedelta(minutes=59, seconds=59)
    assert (await call(gateway, who, "GET", "/v1/encounters/{ref}")).status_code == 200
    clock.now += timedelta(seconds=1)
    for path in IN_EMERGENCY:
        assert (await call(gateway, who, "GET", path)).status_code == 404, path


async def test_it_is_for_this_person_and_this_encounter_alone(gateway: Gateway, clock: Clock) -> None:
    await gateway.opened()
    second = await gateway.post(e.referral(subject="ORD-2", mrn="MRN-2", id="r-2"))
    other = second.json()["encounter_id"]
    assert (await opening(gateway, ON_CALL.name)).status_code == 201
    assert (await ask(gateway, ON_CALL.name, "GET", "/v1/encounters/ORD-1")).status_code == 200
    for who, ref in ((OTHER.name, "ORD-1"), (ON_CALL.name, "ORD-2"), (ON_CALL.name, other)):
        assert (await ask(gateway, who, "GET", f"/v1/encounters/{ref}")).status_code == 404, (who, ref)


async def test_the_right_ends_with_the_role(gateway: Gateway, clock: Clock) -> None:
    await gateway.opened()
    await opening(gateway, ON_CALL.name)
    known = gateway.api.state.parts.access.actors
    known[digest(ON_CALL.name)] = replace(ON_CALL, roles=frozenset({Role.LAB}))
    assert (await ask(gateway, ON_CALL.name, "GET", "/v1/encounters/ORD-1")).status_code == 404


async def test_who_reads_by_right_is_not_recorded_as_an_emergency(gateway: Gateway, clock: Clock) -> None:
    encounter = await gateway.opened()
    assert (await opening(gateway, "both")).status_code == 201
    await ask(gateway, "both", "GET", f"/v1/encounters/{encounter}")
    assert ("encounter", encounter, "read") in outcomes(gateway, "both")


async def test_what_is_refused_says_why_and_is_on_record(gateway: Gateway, clock: Clock) -> None:
    encounter = await gateway.opened()
    assert (await opening(gateway, PRIVACY.name)).status_code == 403
    assert (await opening(gateway, "unknown")).status_code == 401
    unknown = await opening(gateway, ON_CALL.name, "ORD-77")
    assert unknown.status_code == 404
    assert ("emergency access", "(unknown)", "refused") in outcomes(gateway, ON_CALL.name)
    for reason in ("too short", "          x", "x" * 501, 7, None):
        refused = await opening(gateway, ON_CALL.name, reason=reason)
        assert refused.status_code == 422, reason
        assert [problem["path"] for problem in refused.json()["problems"]] == ["reason"]
    extra = await gateway.http.post(
        f"/v1/encounters/{encounter}/emergency-access",
        json={"reason": REASON, "until": "2099-01-01T00:00:00Z"},
        headers={"Authorization": f"Bearer {ON_CALL.name}"},
    )
    assert extra.status_code == 422
    with gateway.db.read() as session:
        assert session.exec(select(EmergencyAccess)).all() == []


async def test_the_access_opens_an_alert_and_another_person_reviews_it(gateway: Gateway, clock: Clock) -> None:
    encounter = await gateway.opened()
    access = (await opening(gateway, ON_CALL.name)).json()["access_id"]
    clock.now += timedelta(minutes=1)
    later = (await opening(gateway, "both")).json()["access_id"]
    for _ in range(3):
        await ask(gateway, ON_CALL.name, "GET", "/v1/encounters/ORD-1")
    with gateway.db.read() as session:
        alerts = session.exec(select(AlertRecord).where(AlertRecord.kind == "emergency_access")).all()
        sealed = session.get_one(EmergencyAccess, access).reason
        assert sealed is not None
        assert REASON.encode() not in sealed
    assert {one.encounter_id for one in alerts} == {encounter}
    mine = next(one for one in alerts if access in one.action)
    assert (mine.owner, mine.state) == ("privacy", "open")
    assert "164.312(a)(2)(ii)" in mine.citation
    assert "164.312(b)" in mine.citation
    assert "cart-encounter emergency review" in mine.action
    assert REASON not in mine.action
    page = (await ask(gateway, PRIVACY.name, "GET", "/v1/emergency-access")).json()
    assert [one["access_id"] for one in page["entries"]] == [later, access]
    row = page["entries"][1]
    assert (row["reason"], row["reads"], row["reviewed"], row["actor"]) == (REASON, 3, False, ON_CALL.name)
    first = (await ask(gateway, PRIVACY.name, "GET", "/v1/emergency-access?limit=1")).json()
    rest = (await ask(gateway, PRIVACY.name, "GET", f"/v1/emergency-access?after={first['next']}")).json()
    assert ([one["access_id"] for one in rest["entries"]], rest["next"]) == ([access], None)
    own = await ask(gateway, "both", "POST", f"/v1/emergency-access/{later}/review")
    assert own.status_code == 403
    assert "another person" in own.json()["detail"]
    assert (await ask(gateway, ON_CALL.name, "POST", f"/v1/emergency-access/{access}/review")).status_code == 403
    assert (await ask(gateway, ON_CALL.name, "GET", "/v1/emergency-access")).status_code == 403
    for _ in range(2):
        done = await ask(gateway, PRIVACY.name, "POST", f"/v1/emergency-access/{access}/review")
        assert (done.status_code, done.json()["reviewed_by"]) == (200, PRIVACY.name)
    assert outcomes(gateway, PRIVACY.name).count(("review emergency access", encounter, f"reviewed {access}")) == 1
    with gateway.db.read() as session:
        states = {one.key[-24:]: one.state for one in session.exec(select(AlertRecord)) if "emergency" in one.kind}
    assert states == {access[-24:]: "resolved", later[-24:]: "open"}
    ended = await ask(gateway, ON_CALL.name, "GET", "/v1/encounters/ORD-1")
    assert ended.status_code == 404, "a review ends what it reviewed"
    assert (await ask(gateway, PRIVACY.name, "POST", "/v1/emergency-access/eac_x/review")).status_code == 404


async def test_a_reviewer_of_another_facility_sees_and_reviews_nothing(gateway: Gateway, clock: Clock) -> None:
    await gateway.opened()
    access = (await opening(gateway, ON_CALL.name)).json()["access_id"]
    known = gateway.api.state.parts.access.actors
    for name, facilities in (("here", HERE), ("there", THERE)):
        known[digest(name)] = Actor(name, frozenset({Role.AUDITOR}), facilities)
    assert (await ask(gateway, "there", "GET", "/v1/emergency-access")).json()["entries"] == []
    assert (await ask(gateway, "there", "POST", f"/v1/emergency-access/{access}/review")).status_code == 404
    assert (await ask(gateway, "here", "POST", f"/v1/emergency-access/{access}/review")).status_code == 200


def test_on_either_database_it_is_granted_counted_reviewed_and_erased(
    store: tuple[Database, Keyring], rules: Rulebook
) -> None:
    db, keys = store
    encounter = str(receive(db, keys, e.referral(), e.NOW, "t").encounter_id)
    span = rules.one(Window, e.NOW.date(), key="emergency_access").span
    with db.write() as session:
        first, second = (grant(session, keys, encounter, name, REASON, e.NOW) for name in ("a", "b"))
        for done, count in (("read", 3), ("shown", 1)):
            for _ in range(count):
                audit(session, "a", "encounter", encounter, outcome_of(first, done), e.NOW)
        audit(session, "a", "encounter", encounter, "read", e.NOW)
        ids = first.access_id, second.access_id
    with db.write() as session:
        moments = (e.NOW, e.NOW + span - timedelta(seconds=1), e.NOW + span, e.NOW - timedelta(seconds=1))
        for name, now in product("abc", moments):
            wanted = {"a": ids[0], "b": ids[1]}.get(name) if e.NOW <= now < e.NOW + span else None
            found = active(session, encounter, name, now)
            assert (found.access_id if found else None) == wanted
        rows = {one.access.access_id: (one.reason, one.reads) for one in listed(session, keys, 10)}
        assert rows == {ids[0]: (REASON, 4), ids[1]: (REASON, 0)}
        review(session, session.get_one(EmergencyAccess, ids[0]), "privacy", e.NOW)
        assert active(session, encounter, "a", e.NOW) is None
        row = session.get_one(Encounter, encounter)
        row.status = "closed"
        session.add(row)
    erase_patient(db, keys, encounter, "privacy", e.NOW)
    with db.read() as session:
        every: list[Any] = listed(session, keys, 10)
        assert {(one.access.access_id, one.reason) for one in every} == {(one, None) for one in ids}
