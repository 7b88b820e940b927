"""The activities of a claim's life after its emission. Each is idempotent by key and safe to retry at any point."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client import Counter as Metric
from sqlmodel import Session, col, func, select
from temporalio import activity

from activities.alerts import reconcile_alerts
from activities.claim_files import SHADOW, claim_of, insured_of, marks_of
from activities.claims import BEHIND, Same, current, emit_again, settle_frequency, version_at_payer, versions_of
from activities.mind import Mind
from activities.store.facts import load_facts_in
from activities.store.keys import Keyring
from activities.store.tables import Batch, ClaimVersion, Encounter, EncounterEvent, Transmission
from activities.transmission import key_of as key_in_batch
from activities.transmission import numbers_of, payer_named, replies_of, transmit
from domain.claims.bill import FILED, ORIGINAL, VOID, Behind, Bill, Refusal, State
from domain.claims.expected import expected
from domain.claims.lifecycle import Standing, said_by, standing
from domain.claims.model import Claim
from domain.claims.reply import REPLIES, Reply, replies
from domain.claims.x12.content import same_bill
from domain.events import EventData
from domain.events.access import ReferralReceived
from domain.events.governance import CorrectionMade
from domain.facts import Fact, fold
from domain.plan import ClaimMoment, ClaimStanding
from domain.site import Site

TRANSMITTED = Metric("cart_claims_transmitted_total", "Claim files written to the outbox, by letter.", ["letter"])
UNSENDABLE = Metric("cart_claims_unsendable_total", "Failed attempts to transmit a claim, by letter.", ["letter"])
REPLY_TYPES = tuple(model.event_type for model in REPLIES)
BUILT = (State.HELD, State.WITHDRAWN)


class ClaimLife:
    """What `ClaimLifecycle` can have done besides building."""

    def __init__(self, mind: Mind, outbox: Path) -> None:
        self.mind, self.outbox = mind, outbox

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.follow_claim, self.transmit_claim]

    @activity.defn(name="follow_claim")
    def follow_claim(self, moment: ClaimMoment) -> ClaimStanding:
        return self._follow(moment, None)

    @activity.defn(name="transmit_claim")
    def transmit_claim(self, moment: ClaimMoment) -> ClaimStanding:
        """Send the version that counts now, if its time has come; says how the claim stands then."""
        with self.mind.db.write() as session:
            row, heard = self._current(session, moment)
            batched = _in_unwritten_batch(session, moment)
            if batched is None and row is not None and not self._goes_out(session, row, heard, moment.now):
                row = None
        if row is None:
            return self._follow(moment, None)
        key = key_in_batch(batched[0]) if batched else key_of(row)
        try:
            sent = transmit(self.mind.db, self.mind.keys, self.mind.shelf, self.outbox, key, moment.now)
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
            if not same_bill(claim_of(row), claim, self.mind.shelf.site()):
                return False
            sent = session.get(Transmission, key_of(row))
            if sent is None or sent.insured_mark is None:
                return True
            return insured_of(session, self.mind.keys, row.encounter_id) in (None, sent.insured_mark)

        return same

    def _follow(self, moment: ClaimMoment, obstacle: str | None) -> ClaimStanding:
        with self.mind.db.write() as session:
            row, heard = self._current(session, moment)
            if row is None:
                return ClaimStanding(state=State.WITHDRAWN, version=0, settled=True)
            judged = self._judge(session, row, heard, moment.now, obstacle)
            if not _looked_later(row, moment):
                _keep(session, row, judged, moment)
                prefix = f"claim.{moment.letter}/{moment.ordinal}."
                reconcile_alerts(session, moment.encounter, judged.alerts, moment.now, prefix)
            return _with_batch(_told(row, judged), _in_unwritten_batch(session, moment), moment.now)

    def _current(self, session: Session, moment: ClaimMoment) -> tuple[ClaimVersion | None, Sequence[Reply]]:
        """The version that counts, once every version stands as its replies say; under the encounter's lock."""
        session.get_one(Encounter, moment.encounter, with_for_update=True)
        versions = versions_of(session, moment.encounter, moment.letter, moment.ordinal)
        heard = replies_of(session, self.mind.keys, moment.encounter) if versions else ()
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
        self, session: Session, versions: Sequence[ClaimVersion], heard: Sequence[Reply], now: datetime
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
        marks = marks_of(session, self.mind.keys, self.mind.shelf.rules(), self.mind.shelf.site(), row)
        return marks is not None and sent.parties_mark not in (None, marks.parties)

    def _has_another_number(self, session: Session, row: ClaimVersion, sent: Transmission) -> bool:
        """A void refers to the payer's number alone; another one may be what its rejection asked for."""
        named = payer_named(session, self.mind.keys, row) if row.frequency == VOID else None
        used = numbers_of(session, self.mind.keys, row, sent).replaces
        return named is not None and named.payer_number != used

    def _goes_out(self, session: Session, row: ClaimVersion, heard: Sequence[Reply], now: datetime) -> bool:
        """Its hold is over, or it has its number and no file yet."""
        sent = session.get(Transmission, key_of(row))
        return sent.written_at is None if sent else self._judge(session, row, heard, now, None).send

    def _judge(
        self, session: Session, row: ClaimVersion, heard: Sequence[Reply], now: datetime, obstacle: str | None
    ) -> Standing:
        rules, site = self.mind.shelf.rules(), self.mind.shelf.site()
        claim = claim_of(row)
        facility = site.facility(claim.facility)
        sent = session.get(Transmission, key_of(row))
        due = expected(claim, rules, site)
        others = [one for one in versions_of(session, *key_of(row)[:3]) if one.version < row.version]
        voided = max((one.version for one in others if one.standing.get("state") == State.VOIDED), default=0)
        filed = [one for one in others if one.version > voided and one.standing.get("state") in FILED]
        unnamed = row.frequency != ORIGINAL and payer_named(session, self.mind.keys, row) is None
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


def _behind(row: ClaimVersion) -> Behind | None:
    waits = row.standing.get(BEHIND) if row.frequency == VOID else None
    return Behind(waits["payer"], date.fromisoformat(waits["through"])) if waits else None


def _void_refused(row: ClaimVersion, before: Sequence[ClaimVersion], heard: Sequence[Reply]) -> Refusal | None:
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


def _with_batch(told: ClaimStanding, batched: Batched | None, now: datetime) -> ClaimStanding:
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


def _keep(session: Session, row: ClaimVersion, judged: Standing, moment: ClaimMoment) -> None:
    """What the reading side and the worklists show of it."""
    row.state = judged.state.value
    behind = {BEHIND: row.standing[BEHIND]} if BEHIND in row.standing else {}
    row.standing = _noted(judged) | {"as_of": moment.now.isoformat(), "run": _run()} | behind
    session.add(row)


def _note(row: ClaimVersion, judged: Standing) -> None:
    """What replies came to for a version, current or not; who looked last stays."""
    row.standing = {key: row.standing[key] for key in ("as_of", "run", BEHIND) if key in row.standing} | _noted(judged)


def _noted(judged: Standing) -> dict[str, Any]:
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


def _told(row: ClaimVersion, judged: Standing) -> ClaimStanding:
    upcoming = judged.next
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimStanding(
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


def claim_marks(session: Session, keys: Keyring, encounter: str, up_to_sequence: int) -> dict[str, str]:
    """A hash of what stands beside the content of each claim, by claim key: the replies to it, and a corrected insured.

    It changes when a reply comes or is corrected and when a later referral names another insured; the encounter's workflow
    then wakes the claim's.
    """
    asked = (*REPLY_TYPES, CorrectionMade.event_type, ReferralReceived.event_type)
    counted = dict(
        session.exec(
            select(EncounterEvent.type, func.count())
            .where(
                EncounterEvent.encounter_id == encounter,
                EncounterEvent.sequence <= up_to_sequence,
                col(EncounterEvent.type).in_(asked),
            )
            .group_by(EncounterEvent.type)
        ).all()
    )
    if sum(counted.values()) == counted.get(ReferralReceived.event_type, 0) <= 1:
        return {}
    rows = session.exec(select(ClaimVersion).where(ClaimVersion.encounter_id == encounter)).all()
    claims = {row.control_number: f"{row.letter}/{row.ordinal}" for row in rows if row.control_number}
    own, _ = load_facts_in(session, keys, encounter, None)
    by_claim: dict[str, list[Reply]] = {}
    for reply in replies(fold(own)):
        if reply.control in claims:
            by_claim.setdefault(claims[reply.control], []).append(reply)
    named = _corrected_insured(keys, own)
    marks = {claim: _mark(mine) for claim, mine in by_claim.items()}
    return {claim: marks.get(claim, "") + named for claim in set(claims.values()) if claim in marks or named}


def _corrected_insured(keys: Keyring, own: Sequence[Fact[EventData]]) -> str:
    """A keyed hash of who the newest referral names, where that is another than the first one named."""
    first = next((fact for fact in own if isinstance(fact.data, ReferralReceived)), None)
    newest = fold(own).last(ReferralReceived)
    if first is None or newest is None or not isinstance(first.data, ReferralReceived):
        return ""
    one, other = _named(first.data), _named(newest.data)
    return "" if one == other else keys.digest("claim named", other)


def _named(referral: ReferralReceived) -> str:
    return f"{referral.patient.model_dump_json()}{referral.coverage.member_id}"


def _mark(heard: Sequence[Reply]) -> str:
    return hashlib.sha256(repr(heard).encode()).hexdigest()
