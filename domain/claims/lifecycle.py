"""A claim after its emission, as a pure function of what was sent and what came back: state, next step, waits, alerts.

Replies are a set, like the facts of an encounter: whatever order files arrive in, the same replies give the same state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from domain.claims import denial
from domain.claims.remittance import Remittance, remittance_of
from domain.claims.reply import Reply
from domain.days import end_of_day
from domain.decision import Alert, Severity
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, Payer, Window

ORIGINAL, REPLACEMENT, VOID = "1", "7", "8"
"""Claim frequency codes (CLM05-3)."""


class State(StrEnum):
    """Of one version of a claim. The last five are the payer's word."""

    HELD = "held"
    EMITTED = "emitted"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    TRANSMITTED = "transmitted"
    VOIDED = "voided"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    PAID = "paid"
    PARTLY_PAID = "partly_paid"
    DENIED = "denied"


AT_PAYER = frozenset({State.TRANSMITTED, State.ACKNOWLEDGED, State.PAID, State.PARTLY_PAID, State.DENIED})
"""The payer has it: a change replaces it (frequency 7), its end voids it (8). A rejected claim never got that far."""
FILED = frozenset({State.ACKNOWLEDGED, State.PAID, State.PARTLY_PAID, State.DENIED})
"""The payer said that it has the claim: timely filing is kept."""
NOT_FILED = frozenset({State.HELD, State.EMITTED, State.TRANSMITTED, State.REJECTED})
ACKNOWLEDGEMENTS = frozenset({"999", "277CA"})
PACKET = "The claim's evidence packet holds what there is to submit, and names what is missing."
LOOK_AGAIN = timedelta(days=1)
"""How often what a rejected claim's file takes from the site file is compared with what was sent."""
OVER = frozenset({State.WITHDRAWN, State.PAID, State.VOIDED})


@dataclass(frozen=True, slots=True)
class Bill:
    """One version of a claim as it lies in the store.

    Attributes:
        built: held, emitted or withdrawn: what the edits said.
        frequency: 1 original, 7 replacement, 8 void.
        total: charges in United States dollars.
        through: last day of the statement; timely filing counts from it.
        zone: of the facility; days end there.
        expected: what the payer should come to, in United States dollars, where that is known.
        expected_lines: the part of each service line, by its code, where the amount is the sum of lines.
        drg: the group it was billed by.
        number_needed: it refers to an earlier claim whose number at the payer is not known yet.
        obstacle: why it could not be sent, in words without any value; None when nothing stands in the way.
        errors: what the edits say against it today, though the payer may have it.
        diagnoses: codes on the claim.
        filed_before: the payer took in an earlier version, so timely filing is kept.
        paid_before: what the payer paid for earlier versions and did not take back, in United States dollars.
        shadow: its files carry the test indicator: the hospital's present process bills, so nobody need answer them.
    """

    key: str
    built: State
    frequency: str
    payer: str
    total: Decimal
    through: date
    zone: tzinfo
    emitted_at: datetime | None = None
    sent_at: datetime | None = None
    expected: Decimal | None = None
    expected_lines: tuple[tuple[str, Decimal], ...] = ()
    drg: str | None = None
    number_needed: bool = False
    obstacle: str | None = None
    errors: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    filed_before: bool = False
    paid_before: Decimal = Decimal(0)
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that should come by `due`; `kind` is the alert that opens when it does not, None for a step of our own.

    A `quiet` one is no news to anybody: the software looks again.
    """

    kind: str | None
    due: datetime
    title: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for a claim at a moment. `heard`: the kinds of answers that came; `untold`: in shadow, and nobody answered."""

    state: State
    send: bool
    waiting: tuple[Waiting, ...]
    alerts: tuple[Alert, ...]
    remittance: Remittance
    shortfall: Decimal | None = None
    appeal_by: date | None = None
    file_by: date | None = None
    heard: tuple[str, ...] = ()
    untold: bool = False

    @property
    def next(self) -> Waiting | None:
        return min(self.waiting, key=lambda w: (w.due, w.title), default=None)

    @property
    def announced(self) -> Waiting | None:
        """What people are told comes next."""
        return min((w for w in self.waiting if not w.quiet), key=lambda w: (w.due, w.title), default=None)

    @property
    def settled(self) -> bool:
        """Nothing is waited for and nobody has to act."""
        over = self.state in OVER or (self.untold and self.state is State.TRANSMITTED)
        return over and not self.waiting and not self.alerts


def standing(bill: Bill, replies: Sequence[Reply], rules: Rulebook, hold_days: int, now: datetime) -> Standing:
    """Judge a claim at a moment.

    Args:
        replies: those to this version, in any order.
        hold_days: days from emission to transmission (the site's bill hold); the last day of service is over by then.

    A payer that the rulebook does not know has no filing and no appeal time here; an edit holds its claims.

    Raises:
        NoRule: the rulebook lacks a window or an alert.
    """
    heard = sorted(replies, key=lambda reply: reply.order)
    paid = remittance_of(heard, rules, bill.through)
    state = state_of(bill, heard, paid)
    judge = _Judge(bill, heard, paid, state, rules, hold_days, now)
    every = list(judge.waits())
    waiting = tuple(wait for wait in every if wait.due > now)
    alerts = [*judge.findings(), *(judge.overdue(wait) for wait in every if wait.due <= now and wait.kind)]
    return Standing(
        state=state,
        send=judge.sends,
        waiting=waiting,
        alerts=tuple(sorted(alerts, key=lambda alert: alert.key)),
        remittance=paid,
        shortfall=judge.shortfall,
        appeal_by=judge.appeal_by,
        file_by=judge.file_by if judge.unfiled else None,
        heard=tuple(sorted({reply.kind for reply in heard})),
        untold=bill.shadow and not heard,
    )


def state_of(bill: Bill, heard: Sequence[Reply], paid: Remittance) -> State:
    """The state that the replies give, in the order of their own time; a later kind of reply outweighs an earlier one."""
    if bill.built is not State.EMITTED:
        return bill.built
    acknowledgements = [reply for reply in heard if reply.kind in ACKNOWLEDGEMENTS]
    rejected = bool(acknowledgements) and not max(acknowledgements, key=lambda r: (r.kind == "277CA", r.order)).accepted
    if bill.frequency == VOID and (bill.sent_at or heard):
        return State.REJECTED if rejected and not paid.count else State.VOIDED
    if paid.count:
        return _judged(paid)
    if acknowledgements:
        return State.REJECTED if rejected else State.ACKNOWLEDGED
    return State.TRANSMITTED if bill.sent_at else State.EMITTED


def _judged(paid: Remittance) -> State:
    if paid.paid > 0 and not paid.denied:
        return State.PARTLY_PAID if paid.refused else State.PAID
    settled_by_others = not paid.denied and not paid.taken_back and not paid.refused and paid.patient > 0
    return State.PAID if settled_by_others else State.DENIED


class _Judge:
    """The questions about one claim at one moment."""

    def __init__(
        self,
        bill: Bill,
        heard: Sequence[Reply],
        paid: Remittance,
        state: State,
        rules: Rulebook,
        hold_days: int,
        now: datetime,
    ) -> None:
        self.bill, self.heard, self.paid, self.state, self.rules, self.now = bill, heard, paid, state, rules, now
        self.payer = rules.maybe(Payer, bill.through, key=bill.payer)
        served = end_of_day(bill.through, bill.zone)
        self.release = max(bill.emitted_at + timedelta(days=hold_days), served) if bill.emitted_at else None
        self.file_by = bill.through + timedelta(days=self.payer.timely_filing_days) if self.payer else None
        refused = state is State.DENIED or state is State.PARTLY_PAID
        judged_on = paid.last.astimezone(bill.zone).date() if paid.last and refused else None
        self.judged_on = judged_on
        self.appeal_by = judged_on + timedelta(days=self.payer.appeal_days) if judged_on and self.payer else None
        self.shortfall = self._shortfall()

    def _shortfall(self) -> Decimal | None:
        """What a payment lacks. Where lines are listed each is compared: a room paid well must not hide a product paid badly."""
        bill, tolerance = self.bill, self._tolerance()
        if not bill.expected or self.state is not State.PAID:
            return None
        told = dict(self.paid.allowed_lines)
        if bill.expected_lines and told:
            wanted: dict[str, Decimal] = {}
            for code, amount in bill.expected_lines:
                wanted[code] = wanted.get(code, Decimal(0)) + amount
            short = [(amount - told[code], amount) for code, amount in wanted.items() if code in told]
            return sum((lack for lack, amount in short if lack > amount * tolerance), Decimal(0)) or None
        lacking = bill.expected - self.paid.allowed
        return lacking if lacking > bill.expected * tolerance else None

    @property
    def unfiled(self) -> bool:
        """No payer took in any version of the claim, and one should: a claim in shadow is filed by another process."""
        return (
            not self.bill.shadow
            and self.state in NOT_FILED
            and self.bill.frequency != VOID
            and not self.bill.filed_before
        )

    @property
    def sends(self) -> bool:
        """The hold is over, nothing was sent and nobody answered."""
        ready = self.state is State.EMITTED and not self.bill.number_needed
        return ready and self.release is not None and self.release <= self.now

    def waits(self) -> Iterator[Waiting]:
        if self.state is State.EMITTED and self.release is not None:
            yield Waiting(None, self.release, f"claim {self.bill.key}: the bill hold ends")
            if self.bill.number_needed:
                due = self.release + self._window("claim_277ca")
                yield Waiting("claim_replacement_waiting", due, "the payer's number of the claim that is replaced")
        yield from self._silence()
        if self.state is State.REJECTED and self.heard:
            last = self.heard[-1].at
            past = max((self.now - last) // LOOK_AGAIN, 0)
            yield Waiting(None, last + (past + 1) * LOOK_AGAIN, "what its file names is looked at again", quiet=True)
        if self.file_by and self.unfiled:
            due = self._end_of(self.file_by) - self._window("claim_filing_warning")
            yield Waiting("claim_filing_ending", due, "timely filing ends")
        if self.appeal_by is not None:
            due = self._end_of(self.appeal_by) - self._window("claim_appeal_warning")
            yield Waiting("claim_appeal_ending", due, "the time to appeal ends")

    def _silence(self) -> Iterator[Waiting]:
        sent = self.bill.sent_at
        if sent is None or self.bill.shadow or self.state is State.REJECTED:
            return
        kinds = {reply.kind for reply in self.heard}
        if not kinds:
            yield Waiting("claim_999_overdue", sent + self._window("claim_999"), "999 of the transmission")
        if not kinds & {"277CA", "835"}:
            yield Waiting("claim_277ca_overdue", sent + self._window("claim_277ca"), "277CA of the claim")
        money_due = self.bill.frequency != VOID or self.bill.paid_before > 0
        if "835" not in kinds and money_due:
            yield Waiting(
                "claim_remittance_overdue", sent + self._window("claim_remittance"), "remittance of the claim"
            )

    def findings(self) -> Iterator[Alert]:
        """What somebody must act on now, whatever time it is."""
        if self.bill.obstacle:
            yield self._alert("claim_unsendable", self.now, self.bill.obstacle)
        if self.state is State.REJECTED:
            last = next(reply for reply in reversed(self.heard) if not reply.accepted)  # a rejection made it so
            yield self._alert("claim_rejected", last.at, " ".join(("by", last.kind, *last.codes)), (last.event,))
        if self.heard and self.bill.sent_at is None and self.state is not State.HELD:
            yield self._alert("claim_answered_unsent", self.heard[0].at, "", (self.heard[0].event,))
        if self.bill.errors and self.state in AT_PAYER and self.bill.frequency != VOID:
            yield self._alert("claim_wrong_at_payer", self.now, " ".join(self.bill.errors))
        if self.paid.paid > 0 and self.bill.paid_before > 0 and self.paid.last:
            yield self._alert("claim_paid_twice", self.paid.last, f"{self.bill.paid_before:.2f}", self.paid.events)
        if (self.paid.taken_back or self.paid.withheld > 0) and self.paid.last:
            said = f"withheld from another transfer: {self.paid.withheld:.2f}" if self.paid.withheld > 0 else ""
            yield self._alert("claim_taken_back", self.paid.last, said, self.paid.events)
        elif self.judged_on is not None and self.paid.last:
            yield self._denied(self.paid.last)
        if self.paid.drg and self.bill.drg and self.paid.drg != self.bill.drg and self.paid.last:
            said = f"billed {self.bill.drg}, paid by {self.paid.drg}"
            yield self._alert("claim_other_drg", self.paid.last, said, self.paid.events)
        if self.shortfall is not None and self.paid.last:
            yield self._alert("claim_underpaid", self.paid.last, f"short by {self.shortfall:.2f}", self.paid.events)

    def _denied(self, since: datetime) -> Alert:
        rows = denial.rows(
            self.rules, self.bill.through, self.paid.refused_reasons, self.paid.remarks, self.bill.diagnoses
        )
        said = "; ".join(row.title for row in rows) or "no denial of the guide fits the reasons"
        deadline = (
            f"appeal or replace by {self.appeal_by}" if self.appeal_by else "find the time to appeal in the contract"
        )
        codes = ", ".join(("CARC", *sorted(self.paid.refused_reasons)))
        lines = "".join(f"; {line}" for line in self.paid.refused_lines)
        alert = self._alert("claim_denied", since, f"{said} ({codes}){lines}; {deadline}", self.paid.events)
        if not rows:
            return alert
        fix, first = " ".join(row.fix for row in rows), rows[0]
        return replace(alert, action=f"{fix} {PACKET}", denial=first.number, citation=first.citation)

    def overdue(self, wait: Waiting) -> Alert:
        """The alert of a wait that has passed."""
        assert wait.kind is not None
        return self._alert(wait.kind, wait.due, "")

    def _alert(self, kind: str, since: datetime, detail: str, events: tuple[str, ...] = ()) -> Alert:
        row = self.rules.one(AlertKind, self.now.astimezone(self.bill.zone).date(), kind=kind)
        title = f"Claim {self.bill.key}: {row.title}"
        return Alert(
            key=f"claim.{self.bill.key}.{kind}",
            kind=kind,
            severity=Severity(row.severity),
            owner=row.owner,
            title=f"{title}: {detail}" if detail else title,
            action=row.action,
            citation=row.citation,
            rule=row.id,
            since=since,
            acknowledge_hours=row.acknowledge_hours,
            denial=row.denial,
            events=events,
        )

    def _window(self, key: str) -> timedelta:
        row = self.rules.one(Window, self.bill.through, key=key)
        return timedelta(days=row.days or 0, hours=row.hours or 0)

    def _end_of(self, day: date) -> datetime:
        return datetime.combine(day + timedelta(days=1), time(0), self.bill.zone).astimezone(UTC)

    def _tolerance(self) -> Decimal:
        return denial.tolerance(
            self.rules, self.bill.through, self.bill.payer, self.payer.payer_class if self.payer else ""
        )
