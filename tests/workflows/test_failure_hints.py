"""What the Temporal UI shows of an activity that fails: read from the real server."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError
from temporalio import activity
from temporalio.worker import Worker

from app.process.failure_hints import Advice
from tests.workflows.world import World
from workflows.certification_watch import CertificationWatch
from workflows.messages import Moment
from workflows.names import WATCH_TYPE


@activity.defn(name="watch")
def away(moment: Moment) -> None:
    raise OperationalError("SELECT 1", {}, Exception("connection refused"))


async def test_a_failing_activity_says_what_to_do(world: World) -> None:
    client = world.server.client
    with ThreadPoolExecutor(1) as pool:
        worker = Worker(
            client,
            task_queue="advice",
            workflows=[CertificationWatch],
            activities=[away],
            activity_executor=pool,
            interceptors=[Advice()],
        )
        async with worker:
            handle = await client.start_workflow(WATCH_TYPE, id="advice", task_queue="advice")
            found = None
            for _ in range(100):
                pending = (await handle.describe()).raw_description.pending_activities
                if pending and pending[0].HasField("last_failure"):
                    found = pending[0].last_failure
                    break
                await asyncio.sleep(0.05)
            await handle.terminate()
    assert found is not None
    error = await client.data_converter.decode_failure(found)
    assert str(error).startswith("OperationalError: watch: The database did not answer")
    assert "deploy/runbooks/CartStoreDown.md" in str(error)
