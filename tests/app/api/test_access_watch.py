"""A changed access file takes effect at once; an invalid one changes no rights."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app.api.access import digest
from app.api.access_watch import AccessOfFile
from app.process.gateway import create_gateway
from tests.app.api.endpoints import REFERRAL, hook_headers
from tests.kit import events as e

OLD, NEW = base64.b64encode(b"o" * 32).decode(), base64.b64encode(b"n" * 32).decode()


def caller(name: str, token: str, role: str = "coordinator") -> str:
    return f'[[callers]]\nname = "{name}"\ntoken_sha256 = "{digest(token)}"\nroles = ["{role}"]\n'


@pytest.fixture
def access_file(tmp_path: Path) -> Path:
    (tmp_path / "scheduling.secret").write_text(f"whsec_{OLD}\n")
    path = tmp_path / "access.toml"
    path.write_text(
        caller("first", "one")
        + '[[webhooks]]\nname = "scheduling"\nsecret_file = "scheduling.secret"\nroles = ["feed"]\n'
    )
    return path


@pytest.fixture
async def http(store, access_file: Path) -> AsyncIterator[httpx.AsyncClient]:  # type: ignore[no-untyped-def]
    db, keys = store
    api = create_gateway(db=db, keys=keys, access=AccessOfFile(access_file), clock=lambda: e.NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as client:
        yield client


async def status(http: httpx.AsyncClient, token: str) -> int:
    return (await http.get("/v1/encounters", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_who_is_added_comes_in_and_who_is_taken_out_stays_out(http: httpx.AsyncClient, access_file: Path) -> None:
    assert [await status(http, token) for token in ("one", "two")] == [200, 401]

    access_file.write_text(caller("second", "two"))

    assert [await status(http, token) for token in ("one", "two")] == [401, 200]


async def test_a_session_of_the_board_ends_with_its_caller(http: httpx.AsyncClient, access_file: Path) -> None:
    assert (await http.post("/sign-in", data={"token": "one"})).status_code == 303
    assert (await http.get("/")).status_code == 200

    access_file.write_text(caller("second", "two"))

    assert (await http.get("/")).status_code == 303


@pytest.mark.parametrize("broken", ["", "[[callers]\n", caller("x", "two", "king"), None])
async def test_a_file_that_does_not_fit_changes_nothing_and_is_said(
    http: httpx.AsyncClient, access_file: Path, broken: str | None
) -> None:
    good = access_file.read_text()
    if broken is None:
        access_file.unlink()
    else:
        access_file.write_text(broken)

    with capture_logs() as logs:
        assert [await status(http, token) for token in ("one", "two")] == [200, 401]

    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["access.file_refused"]
    assert digest("two") not in json.dumps(logs)
    assert REGISTRY.get_sample_value("cart_access_file_up") == 0
    access_file.write_text(good + caller("second", "two"))
    assert [await status(http, token) for token in ("one", "two")] == [200, 200]
    assert REGISTRY.get_sample_value("cart_access_file_up") == 1


async def test_a_file_that_names_a_secret_not_there_yet_counts_when_that_comes(
    http: httpx.AsyncClient, access_file: Path
) -> None:
    sender = '[[webhooks]]\nname = "late"\nsecret_file = "late.secret"\nroles = ["feed"]\n'
    access_file.write_text(access_file.read_text() + caller("second", "two") + sender)
    assert [await status(http, token) for token in ("one", "two")] == [200, 401]

    (access_file.parent / "late.secret").write_text(f"whsec_{NEW}\n")

    assert [await status(http, token) for token in ("one", "two")] == [200, 200]


async def test_a_name_of_a_secret_that_no_file_can_have_changes_nothing(
    http: httpx.AsyncClient, access_file: Path
) -> None:
    sender = '[[webhooks]]\nname = "odd"\nsecret_file = "a\\u0000b"\nroles = ["feed"]\n'
    access_file.write_text(access_file.read_text() + caller("second", "two") + sender)

    assert [await status(http, token) for token in ("one", "two", "one")] == [200, 401, 200]


async def test_a_sender_changes_its_secret_without_a_gap(http: httpx.AsyncClient, access_file: Path) -> None:
    async def posts(secret: str, second: float) -> int:
        signed = hook_headers(REFERRAL, at=e.NOW.timestamp() + second, secret=base64.b64decode(secret))
        return (await http.post("/v1/events", content=REFERRAL, headers=signed)).status_code

    assert [await posts(OLD, 0), await posts(NEW, 1)] == [202, 401]
    secrets = access_file.parent / "scheduling.secret"
    secrets.write_text(f"whsec_{NEW}\nwhsec_{OLD}\n")
    assert [await posts(OLD, 2), await posts(NEW, 3)] == [202, 202]
    secrets.write_text(f"whsec_{NEW}\n")
    assert [await posts(OLD, 4), await posts(NEW, 5)] == [401, 202]


async def test_a_change_does_not_reset_rate_limits(http: httpx.AsyncClient, access_file: Path) -> None:
    slow = caller("first", "one") + "requests_per_second = 0.001\nburst = 1\n"
    access_file.write_text(slow)
    assert [await status(http, "one"), await status(http, "one")] == [200, 429]

    access_file.write_text(slow + caller("second", "two"))

    assert await status(http, "one") == 429
