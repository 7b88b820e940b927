"""Alert escalation on the real server: it escalates at the time of the alert, by a durable timer, and on a signal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.process.alert_poller import AlertPoller
from store.tables import AlertRecord
from tests.kit.worker import World
from workflows.names import ALERT_ESCALATION_ID


def alert(alert_id: str, acknowledge_by: datetime) -> AlertRecord:
    return AlertRecord(
        alert_id=alert_id,
        key=f"intake.{alert_id}",
        kind="event_conflict",
        severity="warning",
        owner="integration",
        title="t",
        action="a",
        citation="c",
        rule="r",
        since=acknowledge_by,
        opened_at=acknowledge_by,
        acknowledge_by=acknowledge_by,
    )


def escalations(world: World, alert_id: str) -> int:
    with world.db.read() as session:
        return session.get_one(AlertRecord, alert_id).escalations


async def test_an_unacknowledged_alert_is_escalated_on_time(world: World) -> None:
    """The next timer of the escalation ends with the alert's time to acknowledge: no schedule looks every hour."""
    now = datetime.now(UTC)
    poller = AlertPoller(world.db, world.server.client)
    with world.db.write() as session:
        session.add(alert("alr_late", now - timedelta(minutes=1)))
        session.add(alert("alr_soon", now + timedelta(minutes=30)))
    try:
        count, _, _ = poller.to_do()
        assert count >= 2
        await poller.look()
        await world.eventually(lambda: escalations(world, "alr_late") == 1, "the first escalation")
        handle = world.server.client.get_workflow_handle(ALERT_ESCALATION_ID)
        await world.eventually(lambda: poller.to_do()[0] == 0, "the escalation to have run")
        assert escalations(world, "alr_soon") == 0
        await world.server.fast_forward(handle, timedelta(minutes=31))
        await world.eventually(lambda: escalations(world, "alr_soon") == 1, "the second escalation")
        details = (await handle.describe()).raw_description
        assert details.workflow_execution_info.status == 1
        await world.record(ALERT_ESCALATION_ID, "desk_escalates")
        await handle.terminate()
    finally:
        with world.db.write() as session:
            for alert_id in ("alr_late", "alr_soon"):
                session.delete(session.get_one(AlertRecord, alert_id))
