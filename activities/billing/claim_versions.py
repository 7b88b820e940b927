"""Claims in the store: a version per content, one control number per emission, taken in the row's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlmodel import Session

from domain.billing.model import Claim, Line
from domain.billing.submission.versions import AT_PAYER, ORIGINAL, REPLACEMENT, VOID, State
from store.claims import claim_lines, next_number, versions_of
from store.tables import CONTROL_COUNTER, ClaimLine, ClaimVersion
from workflows.messages import ClaimBuilt, ClaimQuestion

Same = Callable[[ClaimVersion, Claim], bool]
"""Whether the file of a version says what a file of the claim would say now."""


def same_document(row: ClaimVersion, claim: Claim) -> bool:
    """Alike in every word, explanations included."""
    return row.content_hash == claim.content_hash


def keep_claim(
    session: Session, question: ClaimQuestion, claim: Claim | None, same: Same = same_document
) -> ClaimBuilt:
    """Keep the claim as the facts up to the question's sequence make it.

    What is billed decides: a version that would be sent with the same words stays, its explanations are brought up to date.
    An answer to an older question changes nothing. A claim that is no longer due is withdrawn, never deleted; once the
    payer has it, a change replaces it and its end voids it. A change that no replacement can carry (another payer, form,
    kind of bill or facility) voids it, too; asked again once the void is out, the new claim follows.
    """
    versions = versions_of(session, question.encounter, question.letter, question.ordinal)
    latest = current(versions)
    if latest is not None and _answered_later(latest, question):
        return _built(latest)
    at_payer = version_at_payer(versions)
    if claim is None or not claim.ready:
        return _end(session, versions, at_payer, question)
    if latest is not None and _says(latest, claim, same):
        return _built(_refreshed(session, latest, question, claim))
    if at_payer is not None and latest is not at_payer and same(at_payer, claim):
        _supersede(session, versions)
        at_payer.state = at_payer.standing["state"]
        return _built(_refreshed(session, at_payer, question, claim))
    if at_payer is not None and not claim.errors and not _replaces(claim, at_payer):
        return _end(session, versions, at_payer, question, claim)
    return _built(_next_version(session, versions, at_payer, question, claim))


def _answered_later(latest: ClaimVersion, question: ClaimQuestion) -> bool:
    """True when a newer question was answered already: of more facts, or of the same facts at a later moment."""
    if latest.sequence != question.up_to_sequence or latest.decided_at is None:
        return latest.sequence > question.up_to_sequence
    return latest.decided_at > question.now


def current(versions: Sequence[ClaimVersion]) -> ClaimVersion | None:
    """The version that counts: the newest that no other took the place of."""
    return next((row for row in reversed(versions) if row.state != State.SUPERSEDED), None)


def version_at_payer(versions: Sequence[ClaimVersion]) -> ClaimVersion | None:
    """The version that the payer has; none while nothing was sent, after a rejection, after a void, and while a file in
    shadow is unanswered: a change of that is a new original.
    """
    for row in reversed(versions):
        state = row.standing.get("state")
        if state in AT_PAYER and not row.standing.get("untold"):
            return row
        if state == State.VOIDED:
            return None
    return None


def _replaces(claim: Claim, at_payer: ClaimVersion) -> bool:
    return claim.can_replace(Claim.model_validate(at_payer.document))


def _says(latest: ClaimVersion, claim: Claim, same: Same) -> bool:
    """The newest version already bills this. What was not sent yet is held by an error; what was sent is not unsent by it."""
    if latest.state in (State.WITHDRAWN, State.VOIDED) or latest.frequency == VOID:
        return False
    if latest.state == State.HELD:
        return same_document(latest, claim)
    return same(latest, claim) and not (claim.errors and latest.state == State.EMITTED)


def _refreshed(session: Session, row: ClaimVersion, question: ClaimQuestion, claim: Claim) -> ClaimVersion:
    """The version with today's explanations: rules, events and warnings may have other words for the same bill."""
    row.sequence, row.decided_at = question.up_to_sequence, question.now
    row.content_hash, row.document = claim.content_hash, claim.model_dump(mode="json")
    row.error_count, row.rulebook_digest, row.edition = len(claim.errors), claim.rulebook_digest, claim.edition
    session.add(row)
    for line in claim.lines:
        kept = session.get(ClaimLine, (row.encounter_id, row.letter, row.ordinal, row.version, line.number))
        if kept is not None:
            kept.rule = line.reason.rule
    return row


def _end(
    session: Session,
    versions: Sequence[ClaimVersion],
    at_payer: ClaimVersion | None,
    question: ClaimQuestion,
    behind: Claim | None = None,
) -> ClaimBuilt:
    """Withdraw what was never sent, void what the payer has; `behind` is the claim that goes out after the void."""
    waits = _waiting(behind) if behind else None
    latest = current(versions)
    if latest is None:
        return ClaimBuilt(state=State.WITHDRAWN, version=0, content="")
    if at_payer is not None and latest.frequency != VOID:
        again = _rejected_void(versions, at_payer)
        if again is not None:
            return _built(_counts_again(session, again, latest, question.up_to_sequence, question.now, waits))
        return _built(_void(session, versions, at_payer, question.up_to_sequence, question.now, waits))
    latest.sequence, latest.decided_at = question.up_to_sequence, question.now
    session.add(latest)
    if latest.frequency == VOID:
        latest.standing = {**latest.standing, BEHIND: waits}
    else:
        latest.state = State.WITHDRAWN.value
    return _built(latest)


BEHIND = "behind"
"""In the standing of a void: payer, last day and total of the claim that cannot go out before it."""


def _waiting(claim: Claim) -> dict[str, str]:
    return {"payer": claim.payer, "through": claim.statement_through.isoformat(), "total": str(claim.total)}


def _void(
    session: Session,
    versions: Sequence[ClaimVersion],
    bill: ClaimVersion,
    sequence: int,
    now: datetime,
    behind: dict[str, str] | None = None,
) -> ClaimVersion:
    """A version that takes back what the payer has: the same bill, of the facts it was made of, under frequency 8."""
    row = _emitted_again(session, versions, bill, VOID, sequence, now)
    row.standing = {BEHIND: behind}
    session.add(row)
    return row


def _emitted_again(
    session: Session,
    versions: Sequence[ClaimVersion],
    bill: ClaimVersion,
    frequency: str,
    sequence: int,
    now: datetime,
) -> ClaimVersion:
    """A new version with the words of an older one, under another frequency and a number of its own."""
    _supersede(session, versions)
    same = bill.model_dump(
        include={"content_hash", "form", "payer", "total", "document", "rulebook_digest", "edition", "error_count"}
    )
    row = ClaimVersion(
        **same,
        encounter_id=bill.encounter_id,
        letter=bill.letter,
        ordinal=bill.ordinal,
        version=versions[-1].version + 1,
        state=State.EMITTED.value,
        sequence=sequence,
        built_at=now,
        decided_at=now,
        emitted_at=now,
        control_number=next_number(session, CONTROL_COUNTER),
        frequency=frequency,
    )
    session.add(row)
    session.flush()
    for line in claim_lines(session, bill):
        session.add(ClaimLine(**line.model_dump(exclude={"version"}), version=row.version))
    return row


def settle_frequency(
    session: Session, versions: Sequence[ClaimVersion], sent: bool, now: datetime
) -> ClaimVersion | None:
    """Bring the version that counts into line with what the payer turned out to have; returns the version that counts then.

    A replacement or void of a claim that was rejected afterwards refers to nothing: the replacement goes out as an original,
    the void is withdrawn. An original whose forerunner was taken in after all replaces it, or waits until it is voided.

    Args:
        versions: all of them, their standing up to date.
        sent: the version that counts was transmitted.
    """
    latest = current(versions)
    if latest is None or latest.state in (State.WITHDRAWN, State.VOIDED):
        return latest
    before = [row for row in versions if row.version < latest.version]
    at_payer = version_at_payer(before)
    if latest.frequency == VOID and at_payer is None and (not sent or latest.state == State.REJECTED):
        latest.state = State.WITHDRAWN.value
    elif not sent and latest.state == State.EMITTED and at_payer and not _is_replacement_of(latest, at_payer):
        return _void_before(session, versions, at_payer, latest, now)
    elif not sent and latest.frequency != VOID:
        latest.frequency = REPLACEMENT if at_payer else ORIGINAL
    elif latest.state == State.REJECTED and latest.frequency == REPLACEMENT and at_payer is None:
        return _emitted_again(session, versions, latest, ORIGINAL, latest.sequence, now)
    session.add(latest)
    return latest


def _void_before(
    session: Session, versions: Sequence[ClaimVersion], at_payer: ClaimVersion, latest: ClaimVersion, now: datetime
) -> ClaimVersion:
    """The void that must go out before the newest claim: one that was rejected waits for its cure, it is not sent again."""
    waits = _waiting(Claim.model_validate(latest.document))
    rejected = _rejected_void(versions, at_payer)
    if rejected is None:
        return _void(session, versions, at_payer, latest.sequence, now, waits)
    return _counts_again(session, rejected, latest, latest.sequence, latest.decided_at, waits)


def _rejected_void(versions: Sequence[ClaimVersion], at_payer: ClaimVersion) -> ClaimVersion | None:
    """The newest void of what the payer has that it rejected, also when a claim that an error held took its place since."""
    tried = (row for row in reversed(versions) if row.version > at_payer.version and row.frequency == VOID)
    return next((row for row in tried if row.standing.get("state") == State.REJECTED), None)


def _counts_again(
    session: Session,
    void: ClaimVersion,
    latest: ClaimVersion,
    sequence: int,
    decided_at: datetime | None,
    waits: dict[str, str] | None,
) -> ClaimVersion:
    """Let a rejected void be the version that counts, with the claim behind it."""
    latest.state, void.state = State.SUPERSEDED.value, State.REJECTED.value
    void.sequence, void.decided_at = sequence, decided_at
    void.standing = {**void.standing, BEHIND: waits}
    session.add_all((latest, void))
    return void


def _is_replacement_of(row: ClaimVersion, at_payer: ClaimVersion) -> bool:
    """A void refers to whatever the payer has; a replacement must be of the same kind."""
    return row.frequency == VOID or _replaces(Claim.model_validate(row.document), at_payer)


def emit_again(
    session: Session, versions: Sequence[ClaimVersion], rejected: ClaimVersion, now: datetime
) -> ClaimVersion:
    """A rejected claim anew, with the same words: what its file takes from elsewhere was corrected since."""
    at_payer = version_at_payer([row for row in versions if row.version < rejected.version])
    if rejected.frequency == VOID:
        return _void(session, versions, rejected, rejected.sequence, now, rejected.standing.get(BEHIND))
    if at_payer and not _is_replacement_of(rejected, at_payer):
        return _void_before(session, versions, at_payer, rejected, now)
    frequency = REPLACEMENT if at_payer else ORIGINAL
    return _emitted_again(session, versions, rejected, frequency, rejected.sequence, now)


def _supersede(session: Session, versions: Sequence[ClaimVersion]) -> None:
    latest = current(versions)
    if latest is not None and latest.state not in (State.WITHDRAWN, State.VOIDED):
        latest.state = State.SUPERSEDED.value
        session.add(latest)


def _next_version(
    session: Session,
    versions: Sequence[ClaimVersion],
    at_payer: ClaimVersion | None,
    question: ClaimQuestion,
    claim: Claim,
) -> ClaimVersion:
    _supersede(session, versions)
    emitted = not claim.errors
    row = ClaimVersion(
        encounter_id=question.encounter,
        letter=claim.letter,
        ordinal=claim.ordinal,
        version=versions[-1].version + 1 if versions else 1,
        content_hash=claim.content_hash,
        state=(State.EMITTED if emitted else State.HELD).value,
        form=claim.form.value,
        payer=claim.payer,
        total=claim.total,
        document=claim.model_dump(mode="json"),
        error_count=len(claim.errors),
        sequence=question.up_to_sequence,
        rulebook_digest=claim.rulebook_digest,
        edition=claim.edition,
        built_at=question.now,
        decided_at=question.now,
        emitted_at=question.now if emitted else None,
        control_number=next_number(session, CONTROL_COUNTER) if emitted else None,
        frequency=REPLACEMENT if at_payer else ORIGINAL,
    )
    session.add(row)
    session.flush()
    for line in claim.lines:
        session.add(_line(row, line))
    return row


def _line(row: ClaimVersion, line: Line) -> ClaimLine:
    return ClaimLine(
        encounter_id=row.encounter_id,
        letter=row.letter,
        ordinal=row.ordinal,
        version=row.version,
        number=line.number,
        revenue_code=line.revenue_code,
        hcpcs=line.hcpcs,
        units=line.units,
        charge=line.charge,
        date_of_service=line.date_of_service,
        rule=line.reason.rule,
    )


def _built(row: ClaimVersion) -> ClaimBuilt:
    errors = tuple(edit["message"] for edit in row.document.get("edits", ()) if edit["severity"] == "error")
    return ClaimBuilt(state=row.state, version=row.version, content=row.content_hash, errors=errors)
