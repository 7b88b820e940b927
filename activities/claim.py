"""The activities of `ClaimLifecycle`. Each loads once, asks the domain once and writes once; safe to retry at any point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Counter as Metric
from temporalio import activity

from activities.billing import transmit
from activities.billing.render import CannotRender, ClaimFiles, load_files
from activities.billing.sent_before import SentBefore
from activities.decisions import DecisionService
from domain.billing.submission.model import UNCHANGED, Due, NotDue, State, Wanted
from domain.billing.submission.next_step import Step, next_step
from domain.billing.submission.situation import Around
from domain.billing.submission.versions import ClaimVersion, current
from domain.rulebook.book import NoRule
from store import batches, claims, encounters
from store.alerts import reconcile_alerts
from store.engine import Session
from store.facts import EncounterFacts, load_own
from store.sending import Sending
from store.tables import Batch, Encounter, Transmission
from workflows.messages import ClaimBuilt, ClaimFollowUp, ClaimMoment, ClaimQuestion

TRANSMITTED = Metric("cart_claims_transmitted_total", "Claim files written to the outbox, by letter.", ["letter"])
CLAIMS_BUILT = Metric("cart_claims_built_total", "Claim builds, by letter and resulting state.", ["letter", "state"])
UNSENDABLE = Metric("cart_claims_unsendable_total", "Failed attempts to transmit a claim, by letter.", ["letter"])
SENDING_HELD = "sending is held: outbox and database contradict each other (`cart-encounter reconcile`)"
HELD_AGAIN = timedelta(minutes=30)
"""The time until a claim is looked at again while sending is held."""
NOTHING = ClaimFollowUp(state=State.WITHDRAWN, version=0, settled=True)


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that was saved. `late`: a newer one of the same run was saved before, and this one was not."""

    files: ClaimFiles
    step: Step
    late: bool

    @property
    def current(self) -> ClaimVersion | None:
        """The version that counts, with its control number."""
        return current(self.files.versions)


class ClaimActivities:
    """Builds a claim, follows it after its emission, and transmits it."""

    def __init__(self, service: DecisionService, outbox: Path) -> None:
        self.service, self.outbox = service, outbox
        self.sending = Sending(service.db, service.keys, outbox)

    @property
    def all(self) -> list[Any]:
        """Every activity, for the worker."""
        return [self.build_claim, self.follow_claim, self.transmit_claim]

    @activity.defn(name="build_claim")
    def build_claim(self, question: ClaimQuestion) -> ClaimBuilt:
        facts = self.service.facts(question.encounter)
        decision = self.service.decision(question.encounter, question.up_to_sequence, question.now, facts)
        found = next((one for one in decision.claims if one.key == f"{question.letter}/{question.ordinal}"), None)
        wanted: Due | NotDue = NotDue(question.up_to_sequence, question.now)
        if found is not None and found.ready:
            wanted = Due(found, question.up_to_sequence, question.now)
        numbered = self._compared(question.now)
        with self.service.db.write() as session:
            numbered = numbered and not self.sending.held(session)
            files = self._locked(session, _key(question), facts)
            latest = current(files.versions)
            if latest is None or not _answered_later(latest, question):
                step = self._next(files, wanted, question.now)
                latest = current(claims.save(session, _key(question), files.versions, step.versions, numbered=numbered))
        built = _built(latest)
        CLAIMS_BUILT.labels(letter=question.letter, state=built.state).inc()
        return built

    @activity.defn(name="follow_claim")
    def follow_claim(self, moment: ClaimMoment) -> ClaimFollowUp:
        return self._follow(moment)

    @activity.defn(name="transmit_claim")
    def transmit_claim(self, moment: ClaimMoment) -> ClaimFollowUp:
        """Send the current version, if its time has come; return the state of the claim then."""
        facts: EncounterFacts | None = None
        try:
            self.sending.ready(moment.now)
        except OSError as error:
            self._follow(moment, facts, f"the outbox cannot be read ({error.strerror}); it is tried again")
            raise
        try:
            with self.service.db.write() as session:
                if self.sending.held(session):
                    return self._held(session, moment)
                stepped = self._step(session, moment, numbered=True)
                facts = stepped.files.facts
                out = None if stepped.late else self._outgoing(session, moment, stepped)
                if out is None:
                    return self._reported(session, moment, stepped)
        except SentBefore as error:
            shown = self._follow(moment, facts, str(error))
            due = min(filter(None, (shown.due, moment.now + HELD_AGAIN)))
            return shown.model_copy(update={"send": False, "settled": False, "due": due})
        except (CannotRender, NoRule) as error:
            UNSENDABLE.labels(letter=moment.letter).inc()
            return self._follow(moment, facts, str(error))
        return self._sent(moment, facts, out)

    def _compared(self, now: datetime) -> bool:
        """Compare outbox and database before the first number; False where the outbox cannot be read."""
        try:
            self.sending.ready(now)
        except OSError:
            return False
        return True

    def _held(self, session: Session, moment: ClaimMoment) -> ClaimFollowUp:
        """The claim as it is while all sending is held: it says so, and is looked at again soon."""
        stepped = self._step(session, moment)
        shown = self._reported(session, moment, stepped)
        latest = stepped.current
        if latest is None or stepped.late or not shown.send:
            return shown
        due = moment.now + HELD_AGAIN
        waiting = replace(latest, status=replace(latest.status, next_title=SENDING_HELD, next_due=due))
        claims.save(session, _key(moment), (latest,), (waiting,), numbered=False)
        return shown.model_copy(update={"send": False, "settled": False, "due": due, "due_title": SENDING_HELD})

    def _sent(self, moment: ClaimMoment, facts: EncounterFacts, out: transmit.Outgoing) -> ClaimFollowUp:
        try:
            sent = transmit.write(self.sending, self._loader(moment, facts), out, moment.now)
        except OSError as error:  # retried until there is room; a biller should know of it before filing ends
            self._follow(moment, facts, f"the outbox cannot be written ({error.strerror}); it is tried again")
            raise
        if sent.waits_until is None:
            (TRANSMITTED if sent.interchange is not None else UNSENDABLE).labels(letter=moment.letter).inc()
        return self._follow(moment, facts, sent.obstacle)

    def _outgoing(self, session: Session, moment: ClaimMoment, stepped: Stepped) -> transmit.Outgoing | None:
        """Return the file to write now: of a batch, of a version that has its number, or of one that gets it now."""
        batched = batches.unwritten(session, _key(moment))
        if batched is not None:
            return transmit.again(session, stepped.files, batched[0], self.sending)
        version = stepped.current
        if version is None or (version.sent is None and not stepped.step.send):
            return None
        if version.sent is None:
            return transmit.number(session, stepped.files, _key(moment), version, stepped.step.names, moment.now)
        if version.sent.written:
            return None
        sent = session.get_one(Transmission, (*_key(moment), version.number))
        return transmit.again(session, stepped.files, sent, self.sending)

    def _follow(
        self, moment: ClaimMoment, facts: EncounterFacts | None = None, obstacle: str | None = None
    ) -> ClaimFollowUp:
        numbered = self._compared(moment.now)
        with self.service.db.write() as session:
            numbered = numbered and not self.sending.held(session)
            stepped = self._step(session, moment, facts, obstacle, numbered=numbered)
            return self._reported(session, moment, stepped)

    def _step(
        self,
        session: Session,
        moment: ClaimMoment,
        facts: EncounterFacts | None = None,
        obstacle: str | None = None,
        *,
        numbered: bool = False,
    ) -> Stepped:
        """Return the step without a new decision, saved unless a newer one of the same run was."""
        files = self._locked(session, _key(moment), facts)
        step = self._next(files, UNCHANGED, moment.now, obstacle)
        latest = step.current
        if latest is None:
            return Stepped(files, step, late=False)
        run = _run()
        looked = latest.status.followed_at
        if looked is not None and latest.status.run == run and looked > moment.now:
            return Stepped(files, step, late=True)
        followed = replace(latest, status=replace(latest.status, followed_at=moment.now, run=run))
        after = tuple(followed if one is latest else one for one in step.versions)
        saved = claims.save(session, _key(moment), files.versions, after, numbered=numbered)
        return Stepped(replace(files, versions=saved), step, late=False)

    def _reported(self, session: Session, moment: ClaimMoment, stepped: Stepped) -> ClaimFollowUp:
        """Return the step as the workflow sees it; open its alerts and resolve others of the claim."""
        if stepped.step.current is None:
            return NOTHING
        if not stepped.late:
            prefix = f"claim.{moment.letter}/{moment.ordinal}."
            reconcile_alerts(session, moment.encounter, stepped.step.alerts, moment.now, prefix)
        return _with_batch(_follow_up(stepped.step), batches.unwritten(session, _key(moment)), moment.now)

    def _locked(self, session: Session, key: claims.ClaimKey, facts: EncounterFacts | None) -> ClaimFiles:
        """The claim's versions and the facts of its encounter, under the encounter's lock."""
        session.get_one(Encounter, key[0], with_for_update=True)
        config = self.service.config
        return load_files(session, self.service.keys, config.rules(), config.site(), key, facts)

    def _loader(self, moment: ClaimMoment, facts: EncounterFacts) -> transmit.Loaded:
        """Loads the claims of a batch; the facts of each encounter once."""
        own = {moment.encounter: facts}
        keys, config = self.service.keys, self.service.config

        def loaded(session: Session, key: claims.ClaimKey) -> ClaimFiles:
            if key[0] not in own:
                own[key[0]] = load_own(session, keys, key[0])
            return load_files(session, keys, config.rules(), config.site(), key, own[key[0]])

        return loaded

    def _next(self, files: ClaimFiles, wanted: Wanted, now: datetime, obstacle: str | None = None) -> Step:
        around = Around(files.rules, files.site, files.parties, obstacle)
        return next_step(files.versions, wanted, files.facts.responses, around, now)


def _key(asked: ClaimQuestion | ClaimMoment) -> claims.ClaimKey:
    return asked.encounter, asked.letter, asked.ordinal


def _answered_later(latest: ClaimVersion, question: ClaimQuestion) -> bool:
    """Whether a newer question was answered already: of more facts, or of the same facts at a later moment."""
    done = (latest.sequence, latest.decided_at or question.now)
    return encounters.is_newer(done, (question.up_to_sequence, question.now))


def _built(latest: ClaimVersion | None) -> ClaimBuilt:
    if latest is None:
        return ClaimBuilt(state=State.WITHDRAWN, version=0, content="")
    errors = tuple(edit.message for edit in latest.claim.errors)
    return ClaimBuilt(state=latest.state.value, version=latest.number, content=latest.claim.content_hash, errors=errors)


def _follow_up(step: Step) -> ClaimFollowUp:
    latest = step.current
    assert latest is not None
    assert latest.status.state is not None
    return ClaimFollowUp(
        state=latest.status.state.value,
        version=latest.number,
        send=step.send,
        due=step.due.due if step.due else None,
        due_title=step.due.title if step.due else None,
        settled=step.settled,
        alerts=tuple(alert.title for alert in step.alerts),
        errors=tuple(edit.message for edit in latest.claim.errors),
        again=step.ask_again,
    )


def _with_batch(shown: ClaimFollowUp, batched: tuple[Transmission, Batch] | None, now: datetime) -> ClaimFollowUp:
    """Set the next check of a claim in a batch to the closing of the batch: the first of its claims writes the file."""
    if batched is None:
        return shown
    closes = batched[1].closes_at
    if now >= closes:
        return shown.model_copy(update={"send": True, "settled": False})
    due = min(shown.due, closes) if shown.due else closes
    title = shown.due_title if due != closes else "the batch of the trading partner closes"
    return shown.model_copy(update={"due": due, "due_title": title, "settled": False})


def _run() -> str:
    return activity.info().workflow_run_id or "" if activity.in_activity() else ""
