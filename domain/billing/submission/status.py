"""A claim after its emission, as a pure function of what was sent and what came back: state, next step, waits, alerts.

Replies are a set, like the facts of an encounter: whatever order files arrive in, the same replies give the same state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from domain.alerts.model import Alert, Severity
from domain.billing.submission import denials
from domain.billing.submission.remittance import Remittance, remittance_of
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.versions import AT_PAYER, NOT_FILED, VOID, Bill, State
from domain.days import end_of_day
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, Payer, Window

ACKNOWLEDGEMENTS = frozenset({"999", "277CA"})
PACKET = "The claim's evidence packet holds what there is to submit, and names what is missing."
LOOK_AGAIN = timedelta(days=1)
"""How often what a rejected claim's file takes from the site file is compared with what was sent."""
OVER = frozenset({State.WITHDRAWN, State.PAID, State.VOIDED})


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
class ClaimStatus:
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


def said_by(reply: PayerResponse) -> str:
    """A rejection in words: what kind of answer, and its status codes."""
    return " ".join(("by", reply.kind, *reply.codes))


def standing(
    bill: Bill, replies: Sequence[PayerResponse], rules: Rulebook, hold_days: int, now: datetime
) -> ClaimStatus:
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
    return ClaimStatus(
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


def state_of(bill: Bill, heard: Sequence[PayerResponse], paid: Remittance) -> State:
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
    """Money that was withheld again from another transfer is not paid."""
    if paid.kept > 0 and not paid.denied:
        return State.PARTLY_PAID if paid.refused else State.PAID
    return State.PAID if paid.settled else State.DENIED


class _Judge:
    """The questions about one claim at one moment."""

    def __init__(
        self,
        bill: Bill,
        heard: Sequence[PayerResponse],
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
        self.file_by = self._file_by()
        refused = state is State.DENIED or state is State.PARTLY_PAID
        judged_on = paid.last.astimezone(bill.zone).date() if paid.last and refused else None
        self.judged_on = judged_on
        self.appeal_by = judged_on + timedelta(days=self.payer.appeal_days) if judged_on and self.payer else None
        self.shortfall = self._shortfall()

    def _file_by(self) -> date | None:
        """The end of timely filing; a void has the one of the claim that waits behind it."""
        waits = self.bill.behind
        payer = self.rules.maybe(Payer, waits.through, key=waits.payer) if waits else self.payer
        through = waits.through if waits else self.bill.through
        return through + timedelta(days=payer.timely_filing_days) if payer else None

    def _shortfall(self) -> Decimal | None:
        """What a payment lacks. Where lines are listed each is compared: a room paid well must not hide a product paid badly."""
        bill, tolerance = self.bill, self._tolerance()
        if not bill.expected or self.state is not State.PAID or self.paid.as_further:
            return None  # what the first payer should come to says nothing of one that comes after it
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
        """No payer took in any version of the claim, and one should: a claim in shadow is filed by another process.

        A void bills nothing, but until it is out the claim behind it is not filed either.
        """
        return (
            not self.bill.shadow
            and self.state in NOT_FILED
            and (self.bill.behind is not None if self.bill.frequency == VOID else not self.bill.filed_before)
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
        if self.paid.forwarded and self.paid.further is None and self.paid.balance > 0 and self.paid.last:
            due = self.paid.last + self._window("claim_crossover")
            whose = f" of {', '.join(self.paid.crossover)}" if self.paid.crossover else ""
            yield Waiting("claim_crossover_overdue", due, f"the further payer's remittance{whose}")
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
            kind = "claim_void_rejected" if self.bill.frequency == VOID else "claim_rejected"
            yield self._alert(kind, last.at, said_by(last), (last.event,))
        elif (refused := self.bill.void_refused) is not None:
            yield self._alert("claim_void_rejected", refused.at, refused.by, (refused.event,))
        if self.heard and self.bill.sent_at is None and self.state is not State.HELD:
            yield self._alert("claim_answered_unsent", self.heard[0].at, "", (self.heard[0].event,))
        if self.bill.errors and self.state in AT_PAYER and self.bill.frequency != VOID:
            yield self._alert("claim_wrong_at_payer", self.now, " ".join(self.bill.errors))
        if self.paid.kept > 0 and self.bill.paid_before > 0 and self.paid.last:
            yield self._alert("claim_paid_twice", self.paid.last, f"{self.bill.paid_before:.2f}", self.paid.events)
        if (self.paid.taken_back or self.paid.withheld > 0) and self.paid.last:
            yield self._alert("claim_taken_back", self.paid.last, self._withheld(), self.paid.events)
        elif self.judged_on is not None and self.paid.last:
            yield self._denied(self.paid.last)
        if self.paid.drg and self.bill.drg and self.paid.drg != self.bill.drg and self.paid.last:
            said = f"billed {self.bill.drg}, paid by {self.paid.drg}"
            yield self._alert("claim_other_drg", self.paid.last, said, self.paid.events)
        if self.shortfall is not None and self.paid.last:
            yield self._alert("claim_underpaid", self.paid.last, f"short by {self.shortfall:.2f}", self.paid.events)

        yield from self._further_payers()

    def _withheld(self) -> str:
        if self.paid.withheld <= 0:
            return ""
        more = f", more than the {self.paid.paid:.2f} paid" if self.paid.kept < 0 else ""
        return f"withheld from another transfer: {self.paid.withheld:.2f}{more}"

    def _further_payers(self) -> Iterator[Alert]:
        """What payers that came after the first one said, and one that says it comes after another."""
        further = self.paid.further
        if self.paid.as_further and self.paid.last:
            yield self._alert("claim_adjudicated_as_further", self.paid.last, "", self.paid.events)
        if further is None or further.last is None:
            return
        if further.denied or further.refused > 0:
            said = f"{further.refused:.2f} ({_reasons(further)})"
            yield self._alert("claim_further_payer_refused", further.last, said, further.events)
        if further.taken_back or further.withheld > 0:
            yield self._alert("claim_further_payer_took_back", further.last, "", further.events)

    def _denied(self, since: datetime) -> Alert:
        rows = denials.rows(
            self.rules,
            self.bill.through,
            self.paid.refused_reasons,
            self.paid.remarks,
            self.bill.diagnoses,
            self.paid.refused_codes,
        )
        said = "; ".join(row.title for row in rows) or "no denial of the guide fits the reasons"
        deadline = (
            f"appeal or replace by {self.appeal_by}" if self.appeal_by else "find the time to appeal in the contract"
        )
        codes = _reasons(self.paid)
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
        return denials.tolerance(
            self.rules, self.bill.through, self.bill.payer, self.payer.payer_class if self.payer else ""
        )


def _reasons(paid: Remittance) -> str:
    return f"CARC {', '.join(sorted(paid.refused_reasons))}" if paid.refused_reasons else "no reason given"
