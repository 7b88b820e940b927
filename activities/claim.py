"""The activities of a claim's life after its emission. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client import Counter as Metric
from sqlmodel import Session, col, select
from temporalio import activity

from activities.billing.claim_versions import (
    BEHIND,
    Same,
    current,
    emit_again,
    keep_claim,
    settle_frequency,
    version_at_payer,
)
from activities.billing.render import SHADOW, insured_of, marks_of
from activities.billing.transmit import key_of as key_in_batch
from activities.billing.transmit import numbers_of, payer_named, replies_of, transmit
from activities.decisions import DecisionService
from domain.billing.model import Claim
from domain.billing.submission.expected_payment import expected
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.status import ClaimStatus, said_by, standing
from domain.billing.submission.versions import FILED, ORIGINAL, VOID, Bill, RebillAfterVoid, Refusal, State
from domain.billing.x12.bill_segments import same_bill
from domain.site import Site
from store.alerts import reconcile_alerts
from store.claims import claim_of, versions_of
from store.tables import Batch, ClaimVersion, Encounter, Transmission
from workflows.messages import ClaimBuilt, ClaimFollowUp, ClaimMoment, ClaimQuestion

TRANSMITTED = Metric("cart_claims_transmitted_total", "Claim files written to the outbox, by letter.", ["letter"])
CLAIMS_BUILT = Metric("cart_claims_built_total", "Claim builds, by letter and resulting state.", ["letter", "state"])
UNSENDABLE = Metric("cart_claims_unsendable_total", "Failed attempts to transmit a claim, by letter.", ["letter"])
BUILT = (State.HELD, State.WITHDRAWN)


class ClaimActivities:
    """Builds a claim, follows it after its emission, and transmits it."""

    def __init__(self, service: DecisionService, outbox: Path) -> None:
        self.service, self.outbox = service, outbox

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.build_claim, self.follow_claim, self.transmit_claim]

    @activity.defn(name="build_claim")
    def build_claim(self, question: ClaimQuestion) -> ClaimBuilt:
        decision = self.service.decision(question.encounter, question.up_to_sequence, question.now)
        key = f"{question.letter}/{question.ordinal}"
        claim = next((claim for claim in decision.claims if claim.key == key), None)
        with self.service.db.write() as session:
            session.get_one(Encounter, question.encounter, with_for_update=True)
            built = keep_claim(session, question, claim, self.same_file(session))
        CLAIMS_BUILT.labels(letter=question.letter, state=built.state).inc()
        return built

    @activity.defn(name="follow_claim")
    def follow_claim(self, moment: ClaimMoment) -> ClaimFollowUp:
        return self._follow(moment, None)

    @activity.defn(name="transmit_claim")
    def transmit_claim(self, moment: ClaimMoment) -> ClaimFollowUp:
        """Send the version that counts now, if its time has come; says how the claim stands then."""
        with self.service.db.write() as session:
            row, heard = self._current(session, moment)
            batched = _in_unwritten_batch(session, moment)
            if batched is None and row is not None and not self._goes_out(session, row, heard, moment.now):
                row = None
        if row is None:
            return self._follow(moment, None)
        key = key_in_batch(batched[0]) if batched else key_of(row)
        try:
            sent = transmit(self.service.db, self.service.keys, self.service.config, self.outbox, key, moment.now)
        except OSError as error:  # tried again until there is room; somebody should hear of it before filing ends
            self._follow(moment, f"the outbox cannot be written ({error.strerror}); it is tried again")
            raise
        if sent.waits_until is not None:
            return self._follow(moment, None)
        if sent.interchange is not None:
            TRANSMITTED.labels(letter=row.letter).inc()
        elif sent.obstacle is not None:
            UNSENDABLE.labels(letter=row.letter).inc()
        return self._follow(moment, sent.obstacle)

    def same_file(self, session: Session) -> Same:
        """Compares by what is rendered: the segments of the bill, and for a file that went out the insured it named."""

        def same(row: ClaimVersion, claim: Claim) -> bool:
            if not same_bill(claim_of(row), claim, self.service.config.site()):
                return False
            sent = session.get(Transmission, key_of(row))
            if sent is None or sent.insured_mark is None:
                return True
            return insured_of(session, self.service.keys, row.encounter_id) in (None, sent.insured_mark)

        return same

    def _follow(self, moment: ClaimMoment, obstacle: str | None) -> ClaimFollowUp:
        with self.service.db.write() as session:
            row, heard = self._current(session, moment)
            if row is None:
                return ClaimFollowUp(state=State.WITHDRAWN, version=0, settled=True)
            judged = self._judge(session, row, heard, moment.now, obstacle)
            if not _looked_later(row, moment):
                _keep(session, row, judged, moment)
                prefix = f"claim.{moment.letter}/{moment.ordinal}."
                reconcile_alerts(session, moment.encounter, judged.alerts, moment.now, prefix)
            return _with_batch(_told(row, judged), _in_unwritten_batch(session, moment), moment.now)

    def _current(self, session: Session, moment: ClaimMoment) -> tuple[ClaimVersion | None, Sequence[PayerResponse]]:
        """The version that counts, once every version stands as its replies say; under the encounter's lock."""
        session.get_one(Encounter, moment.encounter, with_for_update=True)
        versions = versions_of(session, moment.encounter, moment.letter, moment.ordinal)
        heard = replies_of(session, self.service.keys, moment.encounter) if versions else ()
        latest = current(versions)
        for row in versions:
            gone = row.state == State.SUPERSEDED or (row.frequency == VOID and row is not latest)
            if gone and row.control_number:
                judged = self._judge(session, row, heard, moment.now, None)
                _note(row, judged)
                if row.state != State.SUPERSEDED:  # a void that its payer answered after the next claim went
                    row.state = judged.state.value
                session.add(row)
        return self._in_line(session, versions, heard, moment.now), heard

    def _in_line(
        self, session: Session, versions: Sequence[ClaimVersion], heard: Sequence[PayerResponse], now: datetime
    ) -> ClaimVersion | None:
        """The version that counts once what the payer has, and what was corrected after a rejection, is taken into account."""
        latest = current(versions)
        if latest is None:
            return None
        judged = self._judge(session, latest, heard, now, None)
        latest.state = judged.state.value
        _note(latest, judged)
        sent = session.get(Transmission, key_of(latest))
        settled = settle_frequency(session, versions, sent is not None, now)
        if settled is not latest or sent is None or latest.state != State.REJECTED:
            return settled
        if not self._has_another_number(session, latest, sent) and not self._names_others(session, latest, sent):
            return latest
        return emit_again(session, versions, latest, now)

    def _names_others(self, session: Session, row: ClaimVersion, sent: Transmission) -> bool:
        """Who a file of it would name, or what it takes from the site file, was corrected since it was sent."""
        marks = marks_of(session, self.service.keys, self.service.config.rules(), self.service.config.site(), row)
        return marks is not None and sent.parties_mark not in (None, marks.parties)

    def _has_another_number(self, session: Session, row: ClaimVersion, sent: Transmission) -> bool:
        """A void refers to the payer's number alone; another one may be what its rejection asked for."""
        named = payer_named(session, self.service.keys, row) if row.frequency == VOID else None
        used = numbers_of(session, self.service.keys, row, sent).replaces
        return named is not None and named.payer_number != used

    def _goes_out(self, session: Session, row: ClaimVersion, heard: Sequence[PayerResponse], now: datetime) -> bool:
        """Its hold is over, or it has its number and no file yet."""
        sent = session.get(Transmission, key_of(row))
        return sent.written_at is None if sent else self._judge(session, row, heard, now, None).send

    def _judge(
        self, session: Session, row: ClaimVersion, heard: Sequence[PayerResponse], now: datetime, obstacle: str | None
    ) -> ClaimStatus:
        rules, site = self.service.config.rules(), self.service.config.site()
        claim = claim_of(row)
        facility = site.facility(claim.facility)
        sent = session.get(Transmission, key_of(row))
        due = expected(claim, rules, site)
        others = [one for one in versions_of(session, *key_of(row)[:3]) if one.version < row.version]
        voided = max((one.version for one in others if one.standing.get("state") == State.VOIDED), default=0)
        filed = [one for one in others if one.version > voided and one.standing.get("state") in FILED]
        unnamed = row.frequency != ORIGINAL and payer_named(session, self.service.keys, row) is None
        bill = Bill(
            key=f"{row.letter}/{row.ordinal}",
            built=State(row.state) if row.state in BUILT else State.EMITTED,
            frequency=row.frequency,
            payer=row.payer,
            total=row.total,
            through=claim.statement_through,
            zone=facility.zone if facility else ZoneInfo("UTC"),
            emitted_at=row.emitted_at,
            sent_at=sent.created_at if sent else None,
            expected=due.amount if due else None,
            expected_lines=due.lines if due else (),
            drg=claim.drg,
            number_needed=unnamed,
            obstacle=obstacle,
            errors=tuple(edit.message for edit in claim.errors),
            diagnoses=tuple(diagnosis.code for diagnosis in claim.diagnoses),
            filed_before=any(claim.can_replace(claim_of(one)) for one in filed),
            paid_before=sum((Decimal(one.standing.get("kept") or 0) for one in others), Decimal(0)),
            behind=_behind(row),
            void_refused=_void_refused(row, others, heard),
            shadow=_in_shadow(sent, row, site),
        )
        mine = [reply for reply in heard if reply.control == row.control_number]
        return standing(bill, mine, rules, site.bill_hold_days, now)


def _behind(row: ClaimVersion) -> RebillAfterVoid | None:
    waits = row.standing.get(BEHIND) if row.frequency == VOID else None
    return RebillAfterVoid(waits["payer"], date.fromisoformat(waits["through"])) if waits else None


def _void_refused(row: ClaimVersion, before: Sequence[ClaimVersion], heard: Sequence[PayerResponse]) -> Refusal | None:
    """The rejection of a void that this claim follows as a new original: what it was to take back still stands."""
    voids = [one for one in before if one.frequency == VOID and one.standing.get("state") == State.REJECTED]
    if not voids or (row.frequency != ORIGINAL and row.state != State.HELD):  # nobody sent a held one
        return None
    target = version_at_payer([one for one in before if one.version < voids[-1].version])
    refusals = [r for r in heard if r.control == voids[-1].control_number and not r.accepted]
    if target is None or not refusals or target.standing.get("state") == State.DENIED:
        return None
    return Refusal(refusals[-1].at, said_by(refusals[-1]), refusals[-1].event)


def _in_shadow(sent: Transmission | None, row: ClaimVersion, site: Site) -> bool:
    """How the version went out; before that, how it would go."""
    if sent is not None:
        return sent.mode == SHADOW
    payer = site.payer(row.payer)
    return payer is not None and site.mode_of(payer, claim_of(row).facility) == SHADOW


def key_of(row: ClaimVersion) -> tuple[str, str, int, int]:
    """The key of a version, and of its transmission."""
    return row.encounter_id, row.letter, row.ordinal, row.version


Batched = tuple[Transmission, Batch]


def _in_unwritten_batch(session: Session, moment: ClaimMoment) -> Batched | None:
    """The version of the claim, current or not, that has its place in a batch whose file is not written yet."""
    shared = (
        Batch.mode == Transmission.mode,
        Batch.receiver_id == Transmission.receiver_id,
        Batch.interchange == Transmission.interchange,
    )
    found = (
        select(Transmission, Batch)
        .where(*shared, col(Batch.written_at).is_(None), col(Transmission.written_at).is_(None))
        .where(
            Transmission.encounter_id == moment.encounter,
            Transmission.letter == moment.letter,
            Transmission.ordinal == moment.ordinal,
        )
        .order_by(col(Transmission.version))
    )
    return session.exec(found).first()


def _with_batch(told: ClaimFollowUp, batched: Batched | None, now: datetime) -> ClaimFollowUp:
    """A claim in a batch looks again when the batch closes: whichever of its claims comes first writes the file."""
    if batched is None:
        return told
    closes = batched[1].closes_at
    if now >= closes:
        return told.model_copy(update={"send": True, "settled": False})
    due = min(told.due, closes) if told.due else closes
    title = told.due_title if due != closes else "the batch of the trading partner closes"
    return told.model_copy(update={"due": due, "due_title": title, "settled": False})


def _run() -> str:
    return activity.info().workflow_run_id or "" if activity.in_activity() else ""


def _looked_later(row: ClaimVersion, moment: ClaimMoment) -> bool:
    """A late retry of an older look must not undo a newer one. Only looks of one run are compared: each has its clock."""
    last = row.standing.get("as_of")
    return last is not None and row.standing.get("run") == _run() and datetime.fromisoformat(last) > moment.now


def _keep(session: Session, row: ClaimVersion, judged: ClaimStatus, moment: ClaimMoment) -> None:
    """What the reading side and the worklists show of it."""
    row.state = judged.state.value
    behind = {BEHIND: row.standing[BEHIND]} if BEHIND in row.standing else {}
    row.standing = _noted(judged) | {"as_of": moment.now.isoformat(), "run": _run()} | behind
    session.add(row)


def _note(row: ClaimVersion, judged: ClaimStatus) -> None:
    """What replies came to for a version, current or not; who looked last stays."""
    row.standing = {key: row.standing[key] for key in ("as_of", "run", BEHIND) if key in row.standing} | _noted(judged)


def _noted(judged: ClaimStatus) -> dict[str, Any]:
    paid, upcoming = judged.remittance, judged.announced
    return {
        "state": judged.state.value,
        "remitted_at": paid.last.isoformat() if paid.last else None,
        "paid": str(paid.paid) if paid.count else None,
        "kept": str(paid.kept) if paid.count else None,
        "paid_by_further": str(paid.paid_by_further) if paid.further else None,
        "forwarded": paid.forwarded,
        "crossover": list(paid.crossover),
        "balance": str(paid.balance) if paid.count else None,
        "patient_responsibility": str(paid.patient) if paid.count else None,
        "refused": str(paid.refused) if paid.count else None,
        "shortfall": str(judged.shortfall) if judged.shortfall is not None else None,
        "appeal_by": judged.appeal_by.isoformat() if judged.appeal_by else None,
        "file_by": judged.file_by.isoformat() if judged.file_by else None,
        "refused_lines": list(paid.refused_lines),
        "heard": list(judged.heard),
        "untold": judged.untold,
        "next": upcoming.title if upcoming else None,
        "next_due": upcoming.due.isoformat() if upcoming else None,
    }


def _told(row: ClaimVersion, judged: ClaimStatus) -> ClaimFollowUp:
    upcoming = judged.next
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimFollowUp(
        state=judged.state.value,
        version=row.version,
        send=judged.send,
        due=upcoming.due if upcoming else None,
        due_title=upcoming.title if upcoming else None,
        settled=judged.settled,
        alerts=tuple(alert.title for alert in judged.alerts),
        errors=errors,
        again=row.sequence if row.frequency == VOID and judged.state in (State.VOIDED, State.WITHDRAWN) else None,
    )
