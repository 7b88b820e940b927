"""Every endpoint, every role, inside and outside its facility; signed webhooks; nothing let in without a right."""

from __future__ import annotations

import base64
from itertools import product
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from app.api import webhooks
from app.api.access import AccessError, digest
from app.api.access_file import parse_access, read_access_file
from app.api.actors import Actor, Limits
from app.api.roles import TABLE, Right, Role
from app.api.webhooks import Webhook
from store.tables import AuditEntry, Encounter, Inbox
from tests.app.api.endpoints import ENDPOINTS, IN_EMERGENCY, OPEN, REFERRAL, SECRET, hook_headers
from tests.kit import events as e
from tests.kit.files import DEPLOY
from tests.kit.gateway import Gateway
from tests.kit.rows import alert_row, claim_row


def use(gateway: Gateway, *actors: Actor) -> None:
    """Let these callers in, each with its name as its token."""
    gateway.api.state.parts.access.actors = {digest(actor.name): actor for actor in actors}


async def call(gateway: Gateway, actor: str, method: str, path: str) -> httpx.Response:
    filled = path.format(
        ref="ORD-1",
        letter="A",
        ordinal=1,
        alert_id="alr_1",
        quarantine_id="none",
        delivery_id="none",
        access_id="eac_none",
        name="held",
        type="Appointment",
        id="a1",
    )
    bodies = {"acknowledge": {"by": "x"}, "close": {"by": "x", "because": "not_ours"}}
    bodies["emergency-access"] = {"reason": "the patient is in intensive care"}
    body = bodies.get(path.rsplit("/", 1)[1], e.referral())
    return await gateway.http.request(method, filled, json=body, headers={"Authorization": f"Bearer {actor}"})


def test_every_endpoint_of_the_interface_stands_in_the_table_or_is_open(gateway: Gateway) -> None:
    paths = gateway.api.openapi()["paths"]
    served = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert served == set(ENDPOINTS) | OPEN
    assert set(ENDPOINTS.values()) == set(TABLE)


def test_the_guide_shows_the_access_table_as_it_is() -> None:
    guide = (DEPLOY.parent / "docs" / "access.md").read_text().splitlines()
    rights = [f"| {right.value} | {', '.join(sorted(role.value for role in TABLE[right]))} |" for right in Right]
    calls = [f"| `{method} {path}` | {right.value} |" for (method, path), right in ENDPOINTS.items()]
    assert [line for line in (*rights, *calls) if line not in guide] == []
    table = [line for line in guide if line.startswith("| ") and line.count("|") == 3]
    assert set(table) - {line for line in table if "`cart-encounter " in line} - {*rights, *calls} == {
        *("| right | roles |", "| call | right |", "| to find | use |")
    }


HERE, THERE = frozenset({"st_mary"}), frozenset({"lakeside"})
SCOPES = {"all": None, "here": HERE, "there": THERE}
WHOLE_HOUSE = {
    "/v1/quarantine",
    "/v1/quarantine/{quarantine_id}/replay",
    "/v1/quarantine/{quarantine_id}/close",
    "/v1/alerts/deliveries",
    "/v1/alerts/deliveries/{delivery_id}/retry",
}
OF_ONE = ("{ref}", "{alert_id}")
LISTS = {"/v1/encounters": "encounters", "/v1/alerts": "alerts", "/v1/alerts/causes": "causes"}


def expected(path: str, right: Right, role: Role, scope: str) -> int:
    """What the access table says of an endpoint, a role and a caller's facilities; the encounter is here."""
    if role is Role.EMERGENCY and path in IN_EMERGENCY:
        return 404
    if role not in TABLE[right] or (path in WHOLE_HOUSE and scope != "all"):
        return 403
    if path == "/v1/events":
        return 403 if scope == "there" else 202
    if path.endswith("emergency-access"):
        return 201 if "{ref}" in path else 200
    if any(name in path for name in OF_ONE):
        return 404 if scope == "there" else 409 if path.endswith("{ordinal}/packet") else 200
    if path.startswith("/v1/fhir"):
        return 501
    if "{" in path and "worklists" not in path:
        return 404
    return {"/v1/replies": 422}.get(path, 200)


async def test_every_endpoint_answers_every_role_of_every_facility_as_the_table_says(gateway: Gateway) -> None:
    """Endpoint x role x facilities. Whatever is turned away is on record under the caller's name."""
    encounter = await gateway.opened()
    with gateway.db.write() as session:
        assert session.get_one(Encounter, encounter).facilities == ["st_mary"]
        session.add(alert_row(encounter_id=encounter, severity="info", owner="lab"))
        session.add(claim_row(encounter, "A", 1, 1, "emitted"))
    callers = {(r, scope): Actor(f"{r.value} {scope}", frozenset({r}), SCOPES[scope]) for r in Role for scope in SCOPES}
    use(gateway, *callers.values())
    denied = dict.fromkeys((actor.name for actor in callers.values()), 0)
    for ((method, path), right), ((role, scope), actor) in product(ENDPOINTS.items(), callers.items()):
        answer = await call(gateway, actor.name, method, path)
        wanted = expected(path, right, role, scope)
        assert answer.status_code == wanted, (method, path, actor.name, answer.text)
        denied[actor.name] += wanted == 403 or (wanted == 404 and any(name in path for name in OF_ONE))
        if path in LISTS and wanted == 200:
            assert len(answer.json()[LISTS[path]]) == (scope != "there"), (path, actor.name)
        if path == "/v1/audit" and wanted == 200:
            targets = {entry["target"] for entry in answer.json()["entries"]}
            assert targets == set() if scope == "there" else encounter in targets
        if scope == "there" and path != "/v1/encounters/{ref}/explain" and right is not Right.EMERGENCY_ACCESS:
            assert encounter not in answer.text
    with gateway.db.read() as session:
        rows = session.exec(select(AuditEntry).where(AuditEntry.outcome == "denied")).all()
    assert {name: sum(row.actor == name for row in rows) for name in denied} == denied
    assert {row.target for row in rows if row.actor == "admin there"} == {
        *("(event)", "(entries of the quarantine)", "(messages about alerts)", encounter, "alr_1"),
        "(gateway)",  # an administrator has no emergency access
    }


async def test_a_caller_without_the_right_does_not_see_claim_lines(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    with gateway.db.write() as session:
        session.add(claim_row(encounter, "A", 1, 1, "emitted"))
    use(gateway, *(Actor(role.value, frozenset({role})) for role in (Role.LAB, Role.BILLER)))
    for name, lines in (("lab", 0), ("biller", 1)):
        answer = await call(gateway, name, "GET", "/v1/encounters/{ref}/explain")
        assert len([one for one in answer.json()["explanations"] if one["what"] == "claim_line"]) == lines


async def test_a_feed_writes_for_its_own_facilities_only_also_when_its_event_waited(gateway: Gateway) -> None:
    use(
        gateway,
        Actor("here", frozenset({Role.FEED}), frozenset({"st_mary"})),
        Actor("there", frozenset({Role.FEED}), frozenset({"lakeside"})),
        Actor("all", frozenset({Role.FEED})),
    )
    charge = e.event(
        "ch-1",
        "cart.charge.posted",
        {"charge_id": "C-1", "revenue_code": "0871", "units": 1, "amount": "10.00", "date": "2026-03-02"},
    )
    foreign = {**charge, "id": "ch-2"}

    async def send(name: str, body: object) -> httpx.Response:
        return await gateway.http.post("/v1/events", json=body, headers={"Authorization": f"Bearer {name}"})

    assert (await send("there", charge)).json()["disposition"] == "quarantined"
    refused = await send("there", e.referral())
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("data.facilities.apheresis, data.facilities.infusion: ")
    assert refused.json()["detail"].endswith("it may write for lakeside")
    receipts = (await send("there", [e.referral(), e.booking()])).json()["receipts"]
    assert [receipt["disposition"] for receipt in receipts] == ["invalid", "invalid"]
    opened = await send("here", e.referral())
    assert opened.status_code == 202
    refused = await send("there", foreign)
    assert (refused.status_code, "lakeside" in refused.text, "st_mary" in refused.text) == (403, True, False)
    assert (await send("here", {**charge, "id": "ch-3"})).status_code == 202
    assert (await send("here", e.certificate())).status_code == 202
    assert (await send("there", e.certificate("c-2"))).status_code == 403
    assert (await send("there", e.correction("x", e.certificate(), subject="st_mary"))).status_code == 403
    with gateway.db.read() as session:
        types = sorted(session.exec(select(Inbox.type)))
    assert types == ["cart.certification.changed", "cart.charge.posted", "cart.referral.received"]


async def test_a_denied_attempt_is_on_record_under_the_callers_name(gateway: Gateway) -> None:
    use(gateway, Actor("biller", frozenset({Role.BILLER})))
    await call(gateway, "biller", "POST", "/v1/events")
    with gateway.db.read() as session:
        row = session.exec(select(AuditEntry)).one()
    assert (row.actor, row.action, row.outcome) == ("biller", "POST /v1/events", "denied")


async def test_a_flood_of_nameless_attempts_does_not_fill_the_database(gateway: Gateway) -> None:
    for _ in range(120):
        assert (await call(gateway, "unknown", "GET", "/v1/alerts")).status_code == 401
    with gateway.db.read() as session:
        assert len(session.exec(select(AuditEntry)).all()) < 70


async def post_hook(gateway: Gateway, body: bytes, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as stranger:
        return await stranger.post("/v1/events", content=body, headers=headers)


@pytest.fixture
def signing(gateway: Gateway) -> Gateway:
    gateway.api.state.parts.access.webhooks = [(Actor("ehr", frozenset({Role.FEED})), Webhook((SECRET,)))]
    return gateway


async def test_a_signed_webhook_is_taken_once_and_a_new_try_is_a_duplicate(signing: Gateway) -> None:
    headers = hook_headers(REFERRAL)
    first = await post_hook(signing, REFERRAL, headers)
    assert first.status_code == 202, first.text
    assert (await post_hook(signing, REFERRAL, headers)).status_code == 401
    again = await post_hook(signing, REFERRAL, hook_headers(REFERRAL, at=e.NOW.timestamp() + 2))
    assert again.json()["disposition"] == "duplicate"
    with signing.db.read() as session:
        assert session.exec(select(Inbox.feed)).one() == "ehr"


@pytest.mark.parametrize("late", [-301, 301])
async def test_an_old_or_future_signature_is_refused(signing: Gateway, late: float) -> None:
    headers = hook_headers(REFERRAL, at=e.NOW.timestamp() + late)
    assert (await post_hook(signing, REFERRAL, headers)).status_code == 401


async def test_any_change_breaks_the_signature(signing: Gateway) -> None:
    good = hook_headers(REFERRAL)
    changed = [
        (REFERRAL + b" ", good),
        (REFERRAL, good | {"webhook-id": "msg_2"}),
        (REFERRAL, good | {"webhook-timestamp": str(int(e.NOW.timestamp()) + 1)}),
        (REFERRAL, good | {"webhook-timestamp": "soon"}),
        (REFERRAL, good | {"webhook-signature": "v1,"}),
        (REFERRAL, hook_headers(REFERRAL, secret=b"another secret, as long as the first")),
        (REFERRAL, hook_headers(REFERRAL, id="")),
    ]
    for body, headers in changed:
        assert (await post_hook(signing, body, headers)).status_code == 401
    with signing.db.read() as session:
        assert session.exec(select(Inbox)).all() == []
    assert (await post_hook(signing, REFERRAL, good)).status_code == 202


async def test_a_signature_opens_no_other_door(signing: Gateway) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(signing.api), base_url="http://gateway") as stranger:
        answer = await stranger.get("/v1/encounters", headers=hook_headers(b""))
    assert answer.status_code == 401


ACCESS_FILE = f"""
[[callers]]
name = "scheduling"
token_sha256 = "{digest("token-1")}"
roles = ["feed"]
facilities = ["st_mary"]
requests_per_second = 5

[[webhooks]]
name = "ehr"
secret_file = "ehr.secret"
roles = ["feed"]
"""


def test_an_access_file_names_callers_and_signers(tmp_path: Path) -> None:
    (tmp_path / "ehr.secret").write_text("whsec_" + base64.b64encode(SECRET).decode() + "\n")
    (tmp_path / "access.toml").write_text(ACCESS_FILE)
    access = read_access_file(tmp_path / "access.toml")
    actor = access.actor("token-1")
    assert actor == Actor("scheduling", frozenset({Role.FEED}), frozenset({"st_mary"}), Limits(5))
    assert access.actor("token-2") is None
    assert [(hook[0].name, hook[1].secrets) for hook in access.webhooks] == [("ehr", (SECRET,))]
    assert access.configured


def test_the_example_of_an_access_file_fits_also_with_its_signer(tmp_path: Path) -> None:
    text = (DEPLOY / "access.example.toml").read_text()
    assert parse_access(text, tmp_path).actor("an unknown token") is None
    (tmp_path / "transplant.secret").write_text(base64.b64encode(SECRET).decode())
    begin, end = text.index("# [[webhooks]]"), text.index("# The hospital's identity provider")
    whole = text[:begin] + text[begin:end].replace("# [[webhooks]]", "[[webhooks]]")
    for field in ("name", "secret_file", "roles", "facilities"):
        whole = whole.replace(f"# {field} =", f"{field} =")
    access = parse_access(whole, tmp_path)
    assert len(access.actors) == 2
    assert [actor.facilities for actor, _ in access.webhooks] == [frozenset({"st_mary"})]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("callers = 1", "callers"),
        ("[[callers]]\nname='a'\nroles=['king']\ntoken_sha256='" + "0" * 64 + "'", r"callers\[a\].roles"),
        ("[[callers]]\nname='a'\nroles=['feed']\ntoken='CANARY'", r"callers\[a\].token"),
        ("[[callers]]", r"callers\[number 1\].name"),
        (
            "[[issuers]]\nname='hospital'\n[[issuers.clients]]\nsubject='lab'",
            r"issuers\[hospital\].clients\[lab\].name",
        ),
        ("not toml", "TOML"),
        ("[[webhooks]]\nname='a'\nroles=['feed']\nsecret_file='gone'", "gone"),
        ("[[webhooks]]\nname='a'\nroles=['feed']\nsecret_file='short'", "short"),
        (2 * ("[[callers]]\nname='a'\nroles=['feed']\ntoken_sha256='" + "0" * 64 + "'\n"), "a is used twice"),
    ],
)
def test_an_access_file_that_does_not_fit_names_the_field_and_no_secret(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "short").write_text("CANA")
    with pytest.raises(AccessError, match=named) as raised:
        parse_access(text, tmp_path)
    assert "CANA" not in str(raised.value)


def test_webhook_limits_are_those_of_the_specification() -> None:
    assert webhooks.TOLERANCE.total_seconds() == 300


async def test_a_caller_above_its_rate_limit_gets_the_limit_and_when_to_retry(gateway: Gateway) -> None:
    use(gateway, Actor("slow", frozenset({Role.ADMIN}), limits=Limits(rate=0.25, burst=1)))
    assert (await call(gateway, "slow", "GET", "/v1/encounters")).status_code == 200
    refused = await call(gateway, "slow", "GET", "/v1/encounters")
    seconds = refused.headers["retry-after"]
    assert (refused.status_code, 1 <= int(seconds) <= 4) == (429, True)
    assert "0.25 requests per second, 1 in a burst" in refused.json()["detail"]
    assert f"in {seconds} seconds" in refused.json()["detail"]
