"""A claim after it is ready: state, payments, next step, waits and alerts at a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.alerts import make
from domain.alerts.model import Alert, Cause, Finding
from domain.billing.submission import denials
from domain.billing.submission.background import Background
from domain.billing.submission.model import AT_PAYER, NOT_FILED, VOID, State
from domain.billing.submission.payer_view import Reported, answered
from domain.billing.submission.remittance import Remittance
from domain.billing.submission.response_codes import accepted_by_payer, accepted_with_errors, explained
from domain.billing.submission.versions import ClaimStatus, RebillAfterVoid
from domain.days import end_of_day
from domain.rulebook import Rulebook
from domain.rulebook.rows import Payer, Window
from domain.site import Site

PACKET = "The evidence packet of the claim holds the records to submit, and names what is missing."
NO_DENIAL = "no known denial fits these codes"
LOOK_AGAIN = timedelta(days=1)
"""How often what a rejected claim's file takes from the site file is compared with what was sent."""
OVER = frozenset({State.WITHDRAWN, State.PAID, State.VOIDED})


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that should come by `due`; `kind` is the alert that opens when it does not, None for a step of our own.

    A `quiet` one is not shown: the software looks again.
    """

    kind: str | None
    due: datetime
    title: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Judgment:
    """What holds for a version at a moment. `send`: its file goes out now."""

    status: ClaimStatus
    send: bool
    waiting: tuple[Waiting, ...]
    alerts: tuple[Alert, ...]
    remittance: Remittance

    @property
    def state(self) -> State:
        assert self.status.state is not None
        return self.status.state

    @property
    def next(self) -> Waiting | None:
        return min(self.waiting, key=lambda w: (w.due, w.title), default=None)

    @property
    def settled(self) -> bool:
        """Nothing is waited for and no one has to act."""
        over = self.state in OVER or (self.status.unanswered_in_shadow and self.state is State.TRANSMITTED)
        return over and not self.waiting and not self.alerts


def judge(one: Reported, background: Background, rules: Rulebook, site: Site, now: datetime) -> Judgment:
    """Judge a version at a moment.

    A payer that the rulebook does not know has no filing and no appeal time here; an edit holds its claims.

    Raises:
        NoRule: the rulebook has no row for a window or an alert.
    """
    judged = _Judge(one, background, rules, site, now)
    every = list(judged.waits())
    waiting = tuple(wait for wait in every if wait.due > now)
    found = [*judged.findings(), *(judged.overdue(wait) for wait in every if wait.due <= now and wait.kind)]
    alerts = [make.alert(rules, finding, now.astimezone(judged.zone).date(), now) for finding in found]
    shown = min((w for w in waiting if not w.quiet), key=lambda w: (w.due, w.title), default=None)
    return Judgment(
        status=judged.status(shown),
        send=judged.sends,
        waiting=waiting,
        alerts=tuple(sorted(alerts, key=lambda alert: alert.key)),
        remittance=one.paid,
    )


class _Judge:
    """The questions about one version at one moment."""

    def __init__(self, one: Reported, background: Background, rules: Rulebook, site: Site, now: datetime) -> None:
        self.version, self.responses, self.paid = one.version, one.responses, one.paid
        self.background, self.rules, self.now = background, rules, now
        self.claim, self.frequency = one.version.claim, one.version.frequency
        self.through = self.claim.statement_through
        kept = one.version.state in (State.HELD, State.WITHDRAWN)
        self.state = one.version.state if kept else one.state
        facility = site.facility(self.claim.facility)
        self.zone = facility.zone if facility else ZoneInfo("UTC")
        self.shadow = _in_shadow(one, site)
        self.unanswered = self.shadow and not answered(self.responses)
        self.payer = rules.maybe(Payer, self.through, key=self.claim.payer)
        emitted, served = one.version.emitted_at, end_of_day(self.through, self.zone)
        self.release = max(emitted + timedelta(days=site.bill_hold_days), served) if emitted else None
        self.file_by = self._file_by()
        refused = self.state is State.DENIED or self.state is State.PARTLY_PAID
        judged_on = one.paid.last.astimezone(self.zone).date() if one.paid.last and refused else None
        self.judged_on = judged_on
        self.appeal_by = judged_on + timedelta(days=self.payer.appeal_days) if judged_on and self.payer else None
        self.shortfall = self._shortfall()

    def status(self, shown: Waiting | None) -> ClaimStatus:
        """What is kept of the judgment; the last follow-up, and the claim that waits for a void, are kept."""
        paid, counts = self.paid, bool(self.paid.count)
        return replace(
            self.version.status,
            state=self.state,
            remitted_at=paid.last,
            paid=paid.paid if counts else None,
            kept=paid.kept if counts else None,
            paid_by_further=paid.paid_by_further if paid.secondary else None,
            forwarded=paid.forwarded,
            crossover=paid.crossover,
            balance=paid.balance if counts else None,
            patient_responsibility=paid.patient if counts else None,
            refused=paid.refused if counts else None,
            shortfall=self.shortfall,
            appeal_by=self.appeal_by,
            file_by=self.file_by if self.unfiled else None,
            refused_lines=paid.refused_lines,
            response_kinds=tuple(sorted({response.kind for response in self.responses})),
            unanswered_in_shadow=self.unanswered,
            next_title=shown.title if shown else None,
            next_due=shown.due if shown else None,
        )

    def _file_by(self) -> date | None:
        """The end of timely filing; a void has that of the claim that goes out after it."""
        rebill = self._rebill
        payer = self.rules.maybe(Payer, rebill.through, key=rebill.payer) if rebill else self.payer
        through = rebill.through if rebill else self.through
        return through + timedelta(days=payer.timely_filing_days) if payer else None

    @property
    def _rebill(self) -> RebillAfterVoid | None:
        return self.version.status.rebill if self.frequency == VOID else None

    def _shortfall(self) -> Decimal | None:
        """What is missing of a payment, by line where lines are listed, so an overpaid room cannot hide an underpaid product."""
        expected, tolerance = self.background.expected, self._tolerance()
        if not expected or not expected.amount or self.state is not State.PAID or self.paid.as_secondary:
            return None  # The expected payment of the primary payer does not apply to a secondary payer.
        allowed = dict(self.paid.allowed_lines)
        if expected.lines and allowed:
            wanted: dict[str, Decimal] = {}
            for code, amount in expected.lines:
                wanted[code] = wanted.get(code, Decimal(0)) + amount
            short = [(amount - allowed[code], amount) for code, amount in wanted.items() if code in allowed]
            return sum((missing for missing, amount in short if missing > amount * tolerance), Decimal(0)) or None
        missing = expected.amount - self.paid.allowed
        return missing if missing > expected.amount * tolerance else None

    @property
    def unfiled(self) -> bool:
        """No payer has accepted any version of the claim, and one should: a claim in shadow is filed by another process.

        A void bills nothing, but until it is out the claim after it is not filed either.
        """
        received = self.state is State.ACKNOWLEDGED and not accepted_by_payer(self.responses, self.rules, self.through)
        if self.shadow or not (received or self.state in NOT_FILED):
            return False
        return self._rebill is not None if self.frequency == VOID else not self.background.filed_before

    @property
    def sends(self) -> bool:
        """The bill hold is over, nothing was sent and no response came."""
        ready = self.state is State.EMITTED and not self.background.number_needed
        return ready and self.release is not None and self.release <= self.now

    def waits(self) -> Iterator[Waiting]:
        if self.state is State.EMITTED and self.release is not None:
            yield Waiting(None, self.release, f"claim {self.claim.key}: the bill hold ends")
            if self.background.number_needed:
                due = self.release + self._window("claim_277ca")
                yield Waiting("claim_replacement_waiting", due, "the payer's number of the claim that is replaced")
        yield from self._silence()
        if self.state is State.REJECTED and self.responses:
            last = self.responses[-1].at
            past = max((self.now - last) // LOOK_AGAIN, 0)
            yield Waiting(None, last + (past + 1) * LOOK_AGAIN, "what its file names is looked at again", quiet=True)
        if self.file_by and self.unfiled:
            due = self._end_of(self.file_by) - self._window("claim_filing_warning")
            yield Waiting("claim_filing_ending", due, "timely filing ends")
        if self.paid.forwarded and self.paid.secondary is None and self.paid.balance > 0 and self.paid.last:
            due = self.paid.last + self._window("claim_crossover")
            whose = f" of {', '.join(self.paid.crossover)}" if self.paid.crossover else ""
            yield Waiting("claim_crossover_overdue", due, f"the secondary payer's remittance{whose}")
        if self.appeal_by is not None:
            due = self._end_of(self.appeal_by) - self._window("claim_appeal_warning")
            yield Waiting("claim_appeal_ending", due, "the time to appeal ends")

    def _silence(self) -> Iterator[Waiting]:
        sent = self.version.sent
        if sent is None or self.shadow or self.state is State.REJECTED:
            return
        kinds = {response.kind for response in self.responses}
        if not kinds:
            yield Waiting("claim_999_overdue", sent.at + self._window("claim_999"), "999 of the transmission")
        if not kinds & {"277CA", "835"}:
            yield Waiting("claim_277ca_overdue", sent.at + self._window("claim_277ca"), "277CA of the claim")
        money_due = self.frequency != VOID or self.background.paid_before > 0
        if "835" not in kinds and money_due:
            due = sent.at + self._window("claim_remittance")
            yield Waiting("claim_remittance_overdue", due, "remittance of the claim")

    def findings(self) -> Iterator[Finding]:
        """What a biller must act on now, whatever time it is."""
        background, paid = self.background, self.paid
        if background.obstacle:
            yield self._finding("claim_unsendable", self.now, background.obstacle)
        yield from self._rejections()
        if self.responses and self.version.sent is None and self.state is not State.HELD:
            first = self.responses[0]
            yield self._finding("claim_answered_unsent", first.at, "", (first.event,))
        if self.claim.errors and self.state in AT_PAYER and self.frequency != VOID:
            yield self._finding("claim_wrong_at_payer", self.now, " ".join(edit.message for edit in self.claim.errors))
        if paid.kept > 0 and background.paid_before > 0 and paid.last:
            yield self._finding(
                "claim_paid_twice", paid.last, f"paid before: ${background.paid_before:,.2f}", paid.events
            )
        if (paid.taken_back or paid.withheld > 0) and paid.last:
            yield self._finding("claim_taken_back", paid.last, self._withheld(), paid.events)
        elif self.judged_on is not None and paid.last:
            yield self._denied(paid.last)
        if paid.drg and self.claim.drg and paid.drg != self.claim.drg and paid.last:
            groups = f"billed {self.claim.drg}, paid by {paid.drg}"
            yield self._finding("claim_other_drg", paid.last, groups, paid.events)
        if self.shortfall is not None and paid.last:
            yield self._finding("claim_underpaid", paid.last, f"short by ${self.shortfall:,.2f}", paid.events)
        yield from self._secondary_payers()

    def _rejections(self) -> Iterator[Finding]:
        if self.state is State.REJECTED:
            last = next(one for one in reversed(self.responses) if not one.accepted)  # a rejection made it so
            kind = "claim_void_rejected" if self.frequency == VOID else "claim_rejected"
            words = explained(last, self.rules, self.through)
            yield self._finding(kind, last.at, f"rejected {words}", (last.event,))
        elif (refused := self.background.void_rejected) is not None:
            yield self._finding("claim_void_rejected", refused.at, f"rejected {refused.cause}", (refused.event,))
        elif (received := accepted_with_errors(self.responses)) is not None and self.state is State.ACKNOWLEDGED:
            words = explained(received, self.rules, self.through)
            yield self._finding("claim_accepted_with_errors", received.at, words, (received.event,))

    def _withheld(self) -> str:
        if self.paid.withheld <= 0:
            return ""
        more = f", more than the ${self.paid.paid:,.2f} paid" if self.paid.kept < 0 else ""
        return f"withheld from another transfer: ${self.paid.withheld:,.2f}{more}"

    def _secondary_payers(self) -> Iterator[Finding]:
        """Decisions of secondary payers, and a payer that reports that it is secondary."""
        secondary = self.paid.secondary
        if self.paid.as_secondary and self.paid.last:
            yield self._finding("claim_adjudicated_as_further", self.paid.last, "", self.paid.events)
        if secondary is None or secondary.last is None:
            return
        if secondary.denied or secondary.refused > 0:
            amount = f"${secondary.refused:,.2f} ({_reasons(secondary)})"
            yield self._finding("claim_further_payer_refused", secondary.last, amount, secondary.events)
        if secondary.taken_back or secondary.withheld > 0:
            yield self._finding("claim_further_payer_took_back", secondary.last, "", secondary.events)

    def _denied(self, since: datetime) -> Finding:
        rows = denials.rows(
            self.rules,
            self.through,
            self.paid.refused_reasons,
            self.paid.remarks,
            tuple(diagnosis.code for diagnosis in self.claim.diagnoses),
            self.paid.refused_codes,
        )
        codes = "; ".join((_reasons(self.paid), *self.paid.refused_lines))
        return replace(
            self._finding("claim_denied", since, codes if rows else f"{codes}; {NO_DENIAL}", self.paid.events),
            causes=tuple(Cause(row.title, row.fix, row.number, row.citation) for row in rows),
            next_step=" ".join(filter(None, (PACKET if rows else "", self._appeal_step()))),
        )

    def _appeal_step(self) -> str:
        if self.appeal_by is None:
            return "Find the time to appeal in the payer contract."
        return f"Appeal or send a replacement by {self.appeal_by}."

    def overdue(self, wait: Waiting) -> Finding:
        """The finding of a wait that has passed."""
        assert wait.kind is not None
        return self._finding(wait.kind, wait.due, "")

    def _finding(self, kind: str, since: datetime, detail: str, events: tuple[str, ...] = ()) -> Finding:
        key = self.claim.key
        return Finding(kind, events=events, detail=detail, since=since, scope=f"claim.{key}", subject=f"Claim {key}")

    def _window(self, key: str) -> timedelta:
        row = self.rules.one(Window, self.through, key=key)
        return timedelta(days=row.days or 0, hours=row.hours or 0)

    def _end_of(self, day: date) -> datetime:
        return datetime.combine(day + timedelta(days=1), time(0), self.zone).astimezone(UTC)

    def _tolerance(self) -> Decimal:
        payer_class = self.payer.payer_class if self.payer else ""
        return denials.tolerance(self.rules, self.through, self.claim.payer, payer_class)


def _in_shadow(one: Reported, site: Site) -> bool:
    """How the version went out; before that, how it would go."""
    if one.version.sent is not None:
        return one.version.sent.shadow
    payer = site.payer(one.version.claim.payer)
    return payer is not None and site.mode_of(payer, one.version.claim.facility) == "shadow"


def _reasons(paid: Remittance) -> str:
    return f"CARC {', '.join(sorted(paid.refused_reasons))}" if paid.refused_reasons else "no reason given"
