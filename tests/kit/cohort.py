"""A simulated cohort in a store: the real intake, the real decisions, the real alert escalation, and no Temporal between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import update
from sqlmodel import select

from activities.alerting.destinations import NOWHERE
from activities.alerting.escalate import work
from activities.decisions import DecisionService
from activities.encounter_view import view_of
from activities.watch import watch
from app.cli.simulate import cohort
from domain.alerts.watch import again_after
from domain.billing.model import Claim
from domain.billing.submission.model import Due
from domain.billing.submission.next_step import next_step
from domain.billing.submission.situation import Around
from domain.billing.submission.versions import Parties
from intake.inbox.receive import Disposition, receive
from store import claims
from store.alerts import reconcile_alerts
from store.chain import append_custody
from store.tables import Encounter, EncounterEvent
from store.unit import Store
from tests.kit.metrics_store import World

UNTIL = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


def play(world: World, encounters: int, seed: int, days: int) -> int:
    """Every event through the inbox, then one decision for each encounter with its effects, the watch and the escalation.

    Returns:
        How many events were accepted.
    """
    taken = 0
    for events in cohort(encounters, seed, days, UNTIL):
        for event in events:
            receipt = receive(world.db, world.keys, event, AT, "simulation")
            assert receipt.disposition is Disposition.ACCEPTED, (event["id"], receipt)
            taken += 1
    service = DecisionService(Store(world.db, world.keys, world.config))
    with world.db.read() as session:
        last = {row.encounter_id: row.next_sequence - 1 for row in session.exec(select(Encounter))}
    for name, sequence in last.items():
        _decide(world, service, name, sequence)
    with world.db.write() as session:
        session.execute(update(EncounterEvent).values(delivered_at=AT))
    rules = world.config.rules()
    with world.db.write() as session:
        watch(session, world.keys, world.site(), rules, AT)
        work(session, NOWHERE, AT + timedelta(hours=1), again_after(rules, AT))
    return taken


def _unknown(claim: Claim, as_of: int | None) -> Parties:
    return Parties()


def _decide(world: World, service: DecisionService, name: str, sequence: int) -> None:
    decision = service.decision(name, sequence, AT)
    due = decision.next_deadline
    with world.db.write() as session:
        append_custody(session, world.keys, name, decision.custody, AT)
        reconcile_alerts(session, name, decision.alerts, AT)
        for claim in decision.claims:
            if claim.ready:
                wanted, around = Due(claim, sequence, AT), Around(world.config.rules(), world.site(), _unknown)
                step = next_step((), wanted, (), around, AT)
                claims.save(session, (name, claim.letter, claim.ordinal), (), step.versions)
        row = session.get_one(Encounter, name)
        row.status = "closed" if decision.outcome else "open"
        row.stage, row.product, row.payer = decision.stage.value, decision.product, decision.payer
        row.payer_class, row.holds_open = decision.payer_class, sum(hold.is_open for hold in decision.holds)
        row.next_due = due.due if due else None
        row.decided_sequence, row.decided_at, row.view = sequence, AT, view_of(decision)
        session.add(row)
