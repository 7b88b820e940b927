"""Tokens of an identity provider: what is let in, what is not, and what its claims are worth here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlmodel import select

from app.api import jwks
from app.api.access import AccessError
from app.api.access_file import parse_access
from app.api.jwks import KeysAway, UrlKeys, read_jwks
from store.tables import AuditEntry, Inbox, Staff
from store.vault import person_of
from tests.app.api.identity_provider import AUDIENCE, ISSUER, NOW, RSA, Provider, new_key, serving, token
from tests.kit import events as e
from tests.kit.files import DEPLOY
from tests.kit.gateway import Gateway

EC, EDWARDS = new_key("EC", "k2"), new_key("OKP", "k3")
OLD = new_key("EC", "k9")
FILE = f"""
[[issuers]]
name = "hospital"
issuer = "{ISSUER}"
audiences = ["{AUDIENCE}"]
jwks_url = "JWKS"
person_claim = "preferred_username"

[issuers.roles]
cart-coordinators = ["coordinator"]
cart-audit = ["auditor"]

[issuers.facilities]
st-mary = ["st_mary", "st_mary_office"]
lakeside = ["lakeside"]
everywhere = ["*"]

[[issuers.clients]]
subject = "svc-scheduling"
name = "st-mary-scheduling"
roles = ["feed"]
facilities = ["st_mary"]
"""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(Provider(RSA, EC, EDWARDS)) as running:
        yield running


@pytest.fixture
def guarded(gateway: Gateway, provider: Provider, tmp_path: Path) -> Gateway:
    """The gateway with the callers of the access file above."""
    use(gateway, FILE.replace("JWKS", provider.url), tmp_path)
    return gateway


def use(gateway: Gateway, text: str, directory: Path) -> None:
    parts = gateway.api.state.parts
    found = parse_access(text, directory)
    parts.access.actors |= found.actors
    parts.access.issuers = found.issuers


async def ask(gateway: Gateway, bearer: str, path: str = "/v1/encounters") -> httpx.Response:
    return await gateway.http.get(path, headers={"Authorization": f"Bearer {bearer}"})


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (EDWARDS, "EdDSA")])
async def test_a_token_signed_by_a_published_key_lets_its_subject_in(guarded: Gateway, key: Any, alg: str) -> None:
    assert (await ask(guarded, token(key, alg))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": NOW - 61}, "expired"),
        ({"exp": None}, "is missing the claim exp"),
        ({"exp": "soon"}, "claim exp"),
        ({"exp": float("inf")}, "claim exp"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"iat": NOW + 61}, "clock"),
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "third"]}, "audience"),
        ({"aud": None}, "is missing the claim aud"),
        ({"iss": ISSUER + "/"}, "unknown issuer"),
        ({"iss": None}, "valid token"),
        ({"sub": None}, "is missing the claim sub"),
        ({"sub": 7}, "claim sub"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
    ],
)
async def test_an_invalid_claim_is_refused_and_named(guarded: Gateway, changes: dict[str, Any], message: str) -> None:
    answer = await ask(guarded, token(**changes))
    assert answer.status_code == 401
    assert message in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("changes", [{"exp": NOW - 59}, {"nbf": NOW + 59}, {"aud": ["x", AUDIENCE]}, {"iat": NOW + 59}])
async def test_clocks_may_differ_by_a_minute_and_an_audience_stand_among_others(
    guarded: Gateway, changes: dict[str, Any]
) -> None:
    assert (await ask(guarded, token(**changes))).status_code == 200


def coded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forged(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    return f"{coded(json.dumps(header).encode())}.{coded(json.dumps(claims).encode())}.{signature}"


def under_shared_secret(secret: bytes, claims: dict[str, Any]) -> str:
    unsigned = forged({"alg": "HS256", "kid": "k1"}, claims)[:-1]
    return f"{unsigned}.{coded(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())}"


async def test_no_forgery_is_let_in(guarded: Gateway) -> None:
    good = token()
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    public = RSA.as_pem(private=False)
    more = claims | {"roles": ["cart-audit"]}
    attempts = {
        "no signature": forged({"alg": "none"}, claims),
        "none in capitals": forged({"alg": "NONE", "kid": "k1"}, claims),
        "signature left out": f"{head}.{body}.",
        "the public key as a shared secret": under_shared_secret(public, claims),
        "other claims under a good signature": f"{head}.{coded(json.dumps(more).encode())}.{signature}",
        "another's key under a published name": token(new_key("EC", "k2"), "ES256"),
        "an unpublished key": token(OLD, "ES256"),
        "its own key in the header": token(OLD, "ES256", {"jwk": OLD.as_dict(private=False), "kid": "k2"}),
        "a key at its own address": token(OLD, "ES256", {"jku": "http://127.0.0.1:1/keys", "kid": "k2"}),
        "no key named, of several": jwt.encode({"alg": "RS256"}, claims, RSA),
        "a list for a key's name": forged({"alg": "RS256", "kid": ["k1"]}, claims, signature),
        "an algorithm that is not accepted": token(RSA, "RS512"),
        "a token of another kind": token(header={"typ": "logout+jwt"}),
        "five parts": good + ".x.y",
        "not base64": "a.!!.c",
        "deep claims": f"{head}.{coded(b'[' * 60000)}.{signature}",
    }  # fmt: skip
    for what, attempt in attempts.items():
        answer = await ask(guarded, attempt)
        assert answer.status_code == 401, what
        assert attempt not in answer.text
    assert (await ask(guarded, good)).status_code == 200


async def test_keys_for_encryption_and_secrets_in_a_key_set_verify_nothing() -> None:
    secret, weak = OctKey.import_key("x" * 32, {"kid": "s"}), new_key("EC", "e", use="enc")
    listed = [key.as_dict(private=True) for key in (secret, weak, EC)]
    found = read_jwks(json.dumps({"keys": [*listed, {"kty": "AKP", "kid": "new"}, {"kty": "RSA"}]}))
    assert [key.kid for key in found.keys] == ["k2"]
    for text in ("{}", "[]", '{"keys": []}', '{"keys": [7]}', "x", json.dumps({"keys": listed[:2]})):
        with pytest.raises(ValueError):
            read_jwks(text)


async def test_a_key_that_is_meant_for_one_algorithm_serves_no_other(gateway: Gateway, tmp_path: Path) -> None:
    only = new_key("RSA", "only")
    published = Provider(only).body.replace(b'"use"', b'"alg": "RS256", "use"')
    (tmp_path / "keys.json").write_bytes(published)
    use(gateway, FILE.replace('jwks_url = "JWKS"', 'jwks_file = "keys.json"'), tmp_path)
    assert (await ask(gateway, token(only, "RS256"))).status_code == 200
    assert (await ask(gateway, token(only, "PS256"))).status_code == 401


async def test_a_new_key_is_found_without_a_restart_and_unknown_ones_do_not_ask_the_issuer_each_time(
    guarded: Gateway, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = guarded.api.state.parts.access.issuers[0]
    now = [1000.0]
    monkeypatch.setattr(issuer.keys, "_now", lambda: now[0])
    assert (await ask(guarded, token())).status_code == 200
    assert provider.looks == 1
    fresh = new_key("EC", "k4")
    provider.keys = [fresh]
    now[0] += jwks.LOOK_AGAIN_SECONDS
    assert (await ask(guarded, token(fresh, "ES256"))).status_code == 200
    assert provider.looks == 2
    for number in range(50):
        assert (await ask(guarded, token(OLD, "ES256", {"kid": f"k{number + 10}"}))).status_code == 401
    assert provider.looks == 2
    assert (await ask(guarded, token())).status_code == 401, "a key that was taken back counts no more"


async def test_known_keys_are_used_for_a_day_without_the_issuer_and_then_no_token_is_verified(
    guarded: Gateway, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(guarded.api.state.parts.access.issuers[0].keys, "_now", lambda: now[0])
    provider.status = 500
    answer = await ask(guarded, token())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    provider.status, now[0] = 200, 1031.0
    assert (await ask(guarded, token())).status_code == 200
    provider.status = 500
    for later, status in (
        (jwks.FRESH_SECONDS + 1, 200),
        (jwks.STALE_SECONDS - 700, 200),
        (jwks.STALE_SECONDS + 1, 503),
    ):
        now[0] = 1031.0 + later
        assert (await ask(guarded, token())).status_code == status, later


def test_a_key_set_that_never_ends_or_leads_elsewhere_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "LARGEST", 100)
    with serving(Provider(RSA)) as large, pytest.raises(KeysAway):
        UrlKeys(large.url).find("k1")
    monkeypatch.setattr(jwks, "LARGEST", 10_000)
    moved = Provider(RSA)
    moved.status = 302
    with serving(moved), pytest.raises(KeysAway):
        UrlKeys(moved.url).find("k1")


async def test_a_file_of_keys_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(Provider(EC).body)
    use(gateway, FILE.replace('jwks_url = "JWKS"', 'jwks_file = "keys.json"'), tmp_path)
    assert (await ask(gateway, token(EC, "ES256"))).status_code == 200
    assert (await ask(gateway, token(EDWARDS, "EdDSA"))).status_code == 401
    path.write_text("{")
    assert (await ask(gateway, token(EC, "ES256"))).status_code == 200
    path.write_bytes(Provider(EDWARDS, RSA).body)
    assert (await ask(gateway, token(EDWARDS, "EdDSA"))).status_code == 200
    assert (await ask(gateway, token(EC, "ES256"))).status_code == 401


async def test_claims_give_roles_and_facilities_as_the_access_file_says(guarded: Gateway) -> None:
    await guarded.opened()

    async def seen(path: str = "/v1/encounters", **claims: Any) -> tuple[int, int]:
        answer = await ask(guarded, token(**claims), path)
        return answer.status_code, len(answer.json().get("encounters", ()))

    assert await seen() == (200, 1)
    assert await seen(facilities=["lakeside"]) == (200, 0)
    assert await seen(facilities=["lakeside", "st-mary"]) == (200, 1)
    assert await seen(facilities="lakeside st-mary") == (200, 1)
    assert await seen(facilities=["everywhere"]) == (200, 1)
    assert await seen(facilities=None) == (200, 0)
    assert await seen(facilities=["st_mary", "*"]) == (200, 0), "only what the table names counts"
    assert await seen(roles=["admin", "coordinator"]) == (403, 0)
    assert await seen(roles=None) == (403, 0)
    assert (await seen("/v1/preflight", roles=["cart-audit"]))[0] == 405
    assert (
        await ask(guarded, token(roles=["cart-audit"], facilities=["everywhere"]), "/v1/quarantine")
    ).status_code == 200
    assert (await ask(guarded, token(roles=["cart-audit"]), "/v1/quarantine")).status_code == 403


async def test_roles_may_stand_deep_or_in_a_claim_with_dots_in_its_name(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(Provider(RSA).body)
    text = FILE.replace('jwks_url = "JWKS"', 'jwks_file = "keys.json"')
    for claim, claims in (
        ("realm_access.roles", {"realm_access": {"roles": ["cart-coordinators"]}}),
        ("https://x.example/roles", {"https://x.example/roles": "cart-coordinators"}),
        ("scope", {"scope": "openid cart-coordinators"}),
    ):
        use(gateway, text.replace("person_claim", f'roles_claim = "{claim}"\nperson_claim'), tmp_path)
        assert (await ask(gateway, token(roles=None, **claims))).status_code == 200, claim
        assert (await ask(gateway, token())).status_code == 403


async def test_a_program_is_named_and_a_person_goes_by_a_pseudonym(guarded: Gateway) -> None:
    """The audit has no names in plain text; the person is in the vault, for those who may read it."""
    sent = await guarded.http.post(
        "/v1/events", json=e.referral(), headers={"Authorization": f"Bearer {token(sub='svc-scheduling', roles=None)}"}
    )
    assert sent.status_code == 202, sent.text
    await ask(guarded, token(), "/v1/encounters/ORD-1")
    await ask(guarded, token(roles=["x"], preferred_username="jane\nevil\x1b[2J"), "/v1/alerts")
    with guarded.db.read() as session:
        rows = session.exec(select(AuditEntry).where(AuditEntry.action != "encounters")).all()
        staff = session.exec(select(Staff)).all()
        assert len({row.actor for row in rows}) == 1
        assert rows[0].actor == staff[0].pseudonym
        assert b"canary" not in staff[0].value
        assert person_of(session, guarded.keys, rows[0].actor) == "jane.canary (hospital: u-17)"
        assert session.exec(select(Inbox.feed)).one() == "st-mary-scheduling"
    metrics = (await guarded.get("/metrics")).text
    assert "canary" not in metrics


async def test_a_session_of_the_board_ends_with_the_token_and_follows_the_access_file(
    guarded: Gateway, provider: Provider, tmp_path: Path
) -> None:
    parts = guarded.api.state.parts
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded.api), base_url="http://gateway") as browser:
        for refused, status in ((token(exp=NOW - 100), 401), (token(roles=[]), 403), ("x.y.z", 401)):
            assert (await browser.post("/sign-in", data={"token": refused})).status_code == status
        assert (await browser.post("/sign-in", data={"token": token()})).status_code == 303
        assert (await browser.get("/")).status_code == 200
        use(guarded, FILE.replace("JWKS", provider.url).replace('["coordinator"]', '["feed"]'), tmp_path)
        assert (await browser.get("/")).status_code == 403
        parts.access.issuers = ()
        assert (await browser.get("/")).headers["location"] == "/sign-in"
        use(guarded, FILE.replace("JWKS", provider.url), tmp_path)
        assert (await browser.get("/")).status_code == 200
        guarded.api.state.parts = replace(parts, clock=lambda: e.NOW + timedelta(seconds=301))
        assert (await browser.get("/")).headers["location"] == "/sign-in"


def changed(old: str, new: str) -> str:
    text = FILE.replace("JWKS", "https://login.example.org/certs")
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (changed("https://login.example.org/certs", "http://login.example.org/certs"), "https"),
        (changed("https://login.example.org/certs", "file:///etc/passwd"), "https"),
        (changed('jwks_url = "https://login.example.org/certs"', ""), "jwks_url or jwks_file"),
        (changed('jwks_url = "https://login.example.org/certs"', 'jwks_file = "gone.json"'), "gone.json"),
        (changed('jwks_url = "https://login.example.org/certs"', 'jwks_file = "bad.json"'), "bad.json"),
        (changed("person_claim", 'algorithms = ["HS256"]\nperson_claim'), "algorithms"),
        (changed("person_claim", 'algorithms = ["none"]\nperson_claim'), "algorithms"),
        (changed("person_claim", "leeway_seconds = 3600\nperson_claim"), "leeway_seconds"),
        (changed(f'audiences = ["{AUDIENCE}"]', "audiences = []"), "audiences"),
        (changed('["auditor"]', '["king"]'), "roles.cart-audit"),
        (changed("person_claim", "every_facility = true\nperson_claim"), "every_facility = true"),
        (2 * changed("name", "name"), "hospital"),
        ("", "has no callers"),
    ],
)
def test_an_invalid_issuer_is_named_with_its_fix(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(AccessError, match=named):
        parse_access(text, tmp_path)


def test_the_example_of_an_access_file_fits_also_with_its_issuer(tmp_path: Path) -> None:
    lines = (DEPLOY / "access.example.toml").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line == "# [[issuers]]")
    text = "\n".join([*lines[:begin], *(line.removeprefix("# ").removeprefix("#") for line in lines[begin:])])
    issuer = parse_access(text, tmp_path).issuers[0]
    assert issuer.roles
    assert issuer.facilities
    assert issuer.clients[0].actor.sources
