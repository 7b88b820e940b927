"""Alert messages: list and retry."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from app.api.actors import Actor
from app.api.answers import Deliveries, DeliveryAnswer
from app.api.parts import AlertAcknowledger, AlertReader, Parts, PartsOf, require_all_facilities
from app.api.problems import Refusal, documented
from store.queries.alerts import alert_deliveries
from store.tables import AlertDelivery
from store.vault import audit

LARGEST_PAGE = 1000

router = APIRouter(tags=["alerts"])

State = Annotated[Literal["waiting", "delivered", "dead"] | None, Query(description="Default: all states")]


@router.get("/v1/alerts/deliveries", responses=documented(422), summary="List alert messages")
def list_deliveries(parts: PartsOf, actor: AlertReader, state: State = None) -> Deliveries:
    """Returns the newest 1,000 messages; `dead` means no more retries. Requires access to all facilities."""
    require_all_facilities(actor, "messages about alerts")
    with parts.db.write() as session:
        audit(session, actor.name, "alert deliveries", "(list)", "read", parts.clock())
        return Deliveries(deliveries=[answer(row) for row in alert_deliveries(session, state, LARGEST_PAGE)])


@router.post(
    "/v1/alerts/deliveries/{delivery_id}/retry", responses=documented(404, 409), summary="Retry an alert message"
)
def retry(delivery_id: str, parts: PartsOf, actor: AlertAcknowledger) -> DeliveryAnswer:
    """Queues the message again with the current alerts, at once; audited."""
    return try_again(parts, actor, delivery_id)


def try_again(parts: Parts, actor: Actor, delivery_id: str) -> DeliveryAnswer:
    """Queues a message again, for endpoint and board.

    Raises:
        Refusal: unknown message, already delivered, or the caller does not have all facilities.
    """
    require_all_facilities(actor, "messages about alerts")
    with parts.db.write() as session:
        row = session.get(AlertDelivery, delivery_id, with_for_update=True)
        if row is None:
            raise Refusal(404, "no message has this ID")
        if row.state == "delivered":
            raise Refusal(409, "this message is already delivered")
        now = parts.clock()
        row.state, row.next_attempt_at, row.created_at = "waiting", now, now
        session.add(row)
        audit(session, actor.name, "retry alert delivery", delivery_id, "waiting", now)
        return answer(row)


def answer(row: AlertDelivery) -> DeliveryAnswer:
    return DeliveryAnswer.model_validate(row.model_dump())
