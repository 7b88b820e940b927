"""The OpenAPI document against the gateway: whatever is sent, no failure, no status and no answer that is not documented."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.api.access import digest
from app.api.actors import Actor, Limits
from tests.app.api.endpoints import ENDPOINTS, OPEN
from tests.kit.recorder import NOW, TOKEN, feed, recorder

UNLIMITED = Actor("token", limits=Limits(rate=1e9, burst=1e9))
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
EXAMPLES = 25
schemathesis.serializer.alias("application/edi-x12", "text/plain")

ACROSS_FIELDS = [positive_data_acceptance]
"""What a body requires across its fields, and by its type, is in the catalog: a schema cannot promise acceptance."""

KNOWN = {"ref": "", "alert_id": "", "quarantine_id": ""}
"""What is there: every second example asks for it, for a made-up id shows only the way to 404."""


@pytest.fixture(scope="module")
def openapi() -> Iterator[Any]:
    """A gateway with a held encounter, a finished one with its claims, alerts and an entry of the quarantine."""
    directory = Path(tempfile.mkdtemp(prefix="cart-openapi-"))
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        r = runner.run(stack.enter_async_context(recorder(directory)))
        runner.run(_fill(r))
        r.api.state.parts.access.actors = {digest(TOKEN): UNLIMITED}
        yield schemathesis.openapi.from_asgi("/openapi.json", r.api)
        runner.run(stack.aclose())
    shutil.rmtree(directory)


async def _fill(r: Any) -> None:
    for name, parts, at in (
        ("d_missing_tecartus_certificate", {"first"}, datetime(2026, 5, 1, 16, tzinfo=UTC)),
        ("a_mcl_medicare_inpatient", None, NOW),
    ):
        KNOWN["ref"] = await r.decided(feed(name, parts), at)
    stray = await r.http.post(
        "/v1/events", json=feed("a_mcl_medicare_inpatient")[-1] | {"id": "s", "subject": "unknown"}
    )
    KNOWN["quarantine_id"] = stray.json()["quarantine_id"]
    KNOWN["alert_id"] = (await r.http.get("/v1/alerts")).json()["alerts"][0]["alert_id"]


@pytest.mark.parametrize(("method", "path"), sorted({*ENDPOINTS, *OPEN}))
def test_every_answer_is_documented(openapi: Any, method: str, path: str) -> None:
    @given(case=openapi[path][method].as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def run(case: Any) -> None:
        for name in KNOWN.keys() & (case.path_parameters or {}).keys():
            if len(str(case.path_parameters[name])) % 2:
                case.path_parameters[name] = KNOWN[name]
        case.call_and_validate(headers=AUTHORIZED, excluded_checks=ACROSS_FIELDS if method == "POST" else [])

    run()
