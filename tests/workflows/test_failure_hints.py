"""What the Temporal UI shows of an activity that fails: read from the real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError
from temporalio import activity
from temporalio.worker import Worker

from app.process.failure_hints import Advice
from tests.kit.faults import last_failure
from tests.kit.waiting import eventually_async
from tests.kit.worker import World
from workflows.certification_watch import CertificationWatch
from workflows.messages import Moment
from workflows.names import WATCH_TYPE


@activity.defn(name="watch")
def away(moment: Moment) -> None:
    raise OperationalError("SELECT 1", {}, Exception("connection refused"))


async def test_a_failing_activity_states_what_to_do(world: World) -> None:
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
            found = await eventually_async(lambda: last_failure(handle), "the activity failed")
            await handle.terminate()
    error = await client.data_converter.decode_failure(found)
    assert str(error).startswith("OperationalError: watch: The database did not respond")
    assert "deploy/runbooks/CartStoreDown.md" in str(error)
