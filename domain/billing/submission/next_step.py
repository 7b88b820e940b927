"""What goes out next for a claim: nothing, an original, a replacement or a void; the only place that chooses a frequency.

    payer has   wanted                                               step
    nothing     due / due with an error / not due                    original / held / withdrawn
    V           the same claim as V                                  kept; explanations are refreshed
    V           due, in V's place (payer, form, facility, bill)      replacement, once the payer's number of V is known
    V           due, not in V's place                                void of V; then the claim as an original
    V           due with an error                                    held; nothing is voided
    V           not due                                              void of V

A rejected version never was at the payer: its replacement becomes an original and its void is withdrawn. A rejected void
leaves V where it is; it goes out again when its file would differ. A version that was accepted after all is replaced or
voided first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.alerts.model import Alert
from domain.billing.model import Claim
from domain.billing.submission.background import background
from domain.billing.submission.model import OUT_OF_USE, UNCHANGED, VOID, Due, NotDue, State, Wanted
from domain.billing.submission.payer_view import Reported, refers_to, reported
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.same_claim import Difference
from domain.billing.submission.situation import Around, Situation, situation
from domain.billing.submission.status import Judgment, Waiting, judge
from domain.billing.submission.versions import ClaimVersion, RebillAfterVoid, current


@dataclass(frozen=True, slots=True)
class Keep:
    """The version that counts stays, or one that the payer has counts again."""


@dataclass(frozen=True, slots=True)
class Emit:
    """A new version goes out under this frequency when its time comes."""

    frequency: str


@dataclass(frozen=True, slots=True)
class VoidThen:
    """What the payer has is voided; then a claim follows, or none."""

    rebill: RebillAfterVoid | None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nothing is billed, and the payer has nothing."""


@dataclass(frozen=True, slots=True)
class WaitFor:
    """The version that counts stays and cannot go out before this."""

    what: Waiting


@dataclass(frozen=True, slots=True)
class Hold:
    """Errors hold the claim."""

    errors: tuple[str, ...]


Action = Keep | Emit | VoidThen | Withdraw | WaitFor | Hold


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done, and how everything is afterwards.

    Attributes:
        versions: all of them; those that are new have no control number yet.
        send: the file of the version that counts goes out now.
        names: the response that gave the payer claim control number which that file names.
        due: the next moment to look again.
        settled: nothing is waited for and no one has to act.
        ask_again: what the payer had is voided; the claim of the facts up to this sequence may be due as a new one.
    """

    versions: tuple[ClaimVersion, ...]
    action: Action
    send: bool = False
    names: PayerResponse | None = None
    due: Waiting | None = None
    settled: bool = True
    alerts: tuple[Alert, ...] = ()
    ask_again: int | None = None

    @property
    def current(self) -> ClaimVersion | None:
        """The version that counts."""
        return current(self.versions)


def next_step(
    versions: Sequence[ClaimVersion],
    wanted: Wanted,
    responses: Sequence[PayerResponse],
    around: Around,
    now: datetime,
) -> Step:
    """Decide what follows for one claim. The same set of responses gives the same step, in any order and repetition.

    Args:
        versions: all of the claim, the first one first; none before the claim is due.
        responses: all that payers reported, to whatever claim.

    Raises:
        NoRule: the rulebook has no row for a window or an alert.
    """
    found = situation(versions, responses, around, now)
    arranged, action = _arranged(found, wanted)
    return _judged(arranged, action, responses, around, now)


def _arranged(found: Situation, wanted: Wanted) -> tuple[tuple[ClaimVersion, ...], Action]:
    if wanted is UNCHANGED:
        latest = found.current
        if latest is not None and latest.version.frequency == VOID and latest.version.status.rebill is not None:
            return _before_rebilling(found, latest, latest.version.status.rebill)
        wanted = _as_before(latest.version if latest else None)
    assert not isinstance(wanted, type(UNCHANGED))
    if isinstance(wanted, NotDue):
        return _end(found, wanted)
    return _hold(found, wanted) if wanted.claim.errors else _bill(found, wanted)


def _as_before(latest: ClaimVersion | None) -> Due | NotDue:
    """The last decision that the version that counts shows."""
    if latest is None:
        return NotDue(0, None)
    if latest.frequency == VOID or latest.state in OUT_OF_USE:
        return NotDue(latest.sequence, latest.decided_at)
    return Due(latest.claim, latest.sequence, latest.decided_at)


Arranged = tuple[tuple[ClaimVersion, ...], Action]


def _bill(found: Situation, due: Due) -> Arranged:
    """A claim without errors: it is there already, or goes out in the place of what the payer has, or after its void."""
    has, latest = found.has, found.current
    if has is not None and found.same(has, due.claim):
        return _counts(found, has, due), Keep()
    stays = latest is not None and found.stays(latest, due.claim)
    if latest is not None and stays and latest.unanswered_in_shadow:
        return _refreshed(found, latest, due), Keep()
    if has is not None and not due.claim.can_replace(has.version.claim):
        return _void(found, has, due, _rebill(due.claim))
    if latest is not None and stays:
        return _refreshed(found, latest, due), Keep()
    frequency = found.frequency_of(due.claim)
    return _with_new(found, due, due.claim, frequency), Emit(frequency)


def _hold(found: Situation, due: Due) -> Arranged:
    """A claim with errors: nothing new goes out; what was sent is not unsent by an error."""
    has, latest = found.has, found.current
    if has is not None and found.same(has, due.claim):
        return _counts(found, has, due), Keep()
    hold = Hold(tuple(edit.message for edit in due.claim.errors))
    if latest is not None and _keeps_with_errors(found, latest, due.claim):
        return _refreshed(found, latest, due), hold if latest.version.state is State.HELD else Keep()
    return _with_new(found, due, due.claim, found.frequency_of(due.claim), held=True), hold


def _keeps_with_errors(found: Situation, latest: Reported, claim: Claim) -> bool:
    """True when held with the same content; or rejected, or in shadow, with the same bill, so that its rejection stays shown."""
    version = latest.version
    if version.state is State.HELD:
        return found.same(latest, claim)
    if version.sent is None or not found.pending(latest):
        return False
    return not found.differences(latest, claim) & {Difference.BILL, Difference.INSURED}


def _end(found: Situation, wanted: NotDue) -> Arranged:
    """No claim: what the payer has is voided, what was never there is withdrawn."""
    latest = found.current
    if found.has is not None:
        return _void(found, found.has, wanted, None)
    if latest is None:
        return (), Withdraw()
    state = State.VOIDED if latest.version.state is State.VOIDED else State.WITHDRAWN
    over = _decided(latest.version, wanted, state=state, rebill=None)
    return _put(found.versions, over), Withdraw()


def _before_rebilling(found: Situation, void: Reported, rebill: RebillAfterVoid) -> Arranged:
    """A void that another claim follows, while nothing new is decided; once it is out, that claim is requested again."""
    if void.version.state is State.VOIDED:
        return found.versions, Keep()
    version = void.version
    if found.has is None:
        return _put(found.versions, replace(version, state=State.WITHDRAWN)), Withdraw()
    return _void(found, found.has, NotDue(version.sequence, version.decided_at), rebill)


def _void(found: Situation, has: Reported, wanted: Due | NotDue, rebill: RebillAfterVoid | None) -> Arranged:
    """Void what the payer has. A void that was rejected waits for its correction; the same file is not sent again."""
    latest, rejected = found.current, found.rejected_void()
    if latest is not None and _voids(found, latest, has):
        kept = _decided(latest.version, wanted, state=latest.version.state, rebill=rebill)
        return _put(found.versions, kept), VoidThen(rebill)
    if rejected is not None and found.same(rejected, rejected.version.claim):
        again = _decided(rejected.version, wanted, state=State.REJECTED, rebill=rebill)
        return _put(_superseded(found.versions, after=again.number), again), VoidThen(rebill)
    return _with_new(found, wanted, has.version.claim, VOID, rebill=rebill), VoidThen(rebill)


def _voids(found: Situation, latest: Reported, has: Reported) -> bool:
    """The version that counts is a void of what the payer has, and its file is still to go out."""
    unsent = latest.version.frequency == VOID and latest.state is State.EMITTED
    return unsent and latest.version.state is State.EMITTED and found.same(latest, has.version.claim)


def _counts(found: Situation, one: Reported, due: Due) -> tuple[ClaimVersion, ...]:
    """The version that the payer has is the one that counts, with today's explanations."""
    version = replace(_decided(one.version, due, state=one.state), claim=due.claim)
    return _put(_superseded(found.versions, after=version.number), version)


def _refreshed(found: Situation, latest: Reported, due: Due) -> tuple[ClaimVersion, ...]:
    """The version that counts with today's explanations; one that was not sent takes the frequency of today, too."""
    version = replace(_decided(latest.version, due, state=latest.version.state), claim=due.claim)
    if latest.version.sent is None and not latest.responses:
        version = replace(version, frequency=found.frequency_of(due.claim))
    return _put(found.versions, version)


def _with_new(
    found: Situation,
    wanted: Due | NotDue,
    claim: Claim,
    frequency: str,
    held: bool = False,
    rebill: RebillAfterVoid | None = None,
) -> tuple[ClaimVersion, ...]:
    """A version more, which takes the place of the one that counted; one that bills nothing any more stays as it is."""
    before = found.versions[-1].number if found.versions else 0
    latest = current(found.versions)
    kept = found.versions
    if latest is not None and latest.state not in OUT_OF_USE:
        kept = _put(kept, replace(latest, state=State.SUPERSEDED))
    made = ClaimVersion(
        number=before + 1,
        claim=claim,
        frequency=frequency,
        state=State.HELD if held else State.EMITTED,
        sequence=wanted.sequence,
        built_at=found.now,
        decided_at=wanted.decided_at,
        emitted_at=None if held else found.now,
    )
    return (*kept, replace(made, status=replace(made.status, rebill=rebill)))


def _decided(
    version: ClaimVersion, wanted: Due | NotDue, state: State, rebill: RebillAfterVoid | None = None
) -> ClaimVersion:
    status = replace(version.status, rebill=rebill)
    return replace(version, state=state, sequence=wanted.sequence, decided_at=wanted.decided_at, status=status)


def _put(versions: Sequence[ClaimVersion], changed: ClaimVersion) -> tuple[ClaimVersion, ...]:
    return tuple(changed if one.number == changed.number else one for one in versions)


def _superseded(versions: Sequence[ClaimVersion], after: int) -> tuple[ClaimVersion, ...]:
    return tuple(replace(one, state=State.SUPERSEDED) if one.number > after else one for one in versions)


def _rebill(claim: Claim) -> RebillAfterVoid:
    return RebillAfterVoid(claim.payer, claim.statement_through, claim.total)


def _judged(
    versions: tuple[ClaimVersion, ...],
    action: Action,
    responses: Sequence[PayerResponse],
    around: Around,
    now: datetime,
) -> Step:
    """The step with the status of every version as the arrangement leaves it."""
    latest = current(versions)
    if latest is None:
        return Step(versions, action)
    reports = reported(versions, responses, around.rules)
    judgments = {one.version.number: _judgment(one, reports, one.version is latest, around, now) for one in reports}
    done = tuple(replace(one, status=judgments[one.number].status) for one in versions)
    ruling = judgments[latest.number]
    referred = refers_to(next(one for one in reports if one.version is latest), reports)
    out_of_use = latest.frequency == VOID and ruling.state in OUT_OF_USE
    if isinstance(action, Keep) and ruling.state is State.EMITTED and not ruling.send and ruling.next:
        action = WaitFor(ruling.next)
    return Step(
        versions=done,
        action=action,
        send=ruling.send,
        names=referred.numbered_by if referred else None,
        due=ruling.next,
        settled=ruling.settled,
        alerts=ruling.alerts,
        ask_again=latest.sequence if out_of_use else None,
    )


def _judgment(one: Reported, reports: Sequence[Reported], counts: bool, around: Around, now: datetime) -> Judgment:
    obstacle = around.obstacle if counts else None
    return judge(one, background(one, reports, around.rules, around.site, obstacle), around.rules, around.site, now)
