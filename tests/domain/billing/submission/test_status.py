"""State, waits, alerts and payments of a claim after it is ready are a function of its payer responses."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing.model import Claim, Form
from domain.billing.submission import status
from domain.billing.submission.background import Background, VoidRejected
from domain.billing.submission.denials import rows
from domain.billing.submission.expected_payment import Expected
from domain.billing.submission.model import State
from domain.billing.submission.payer_order import of_first, of_secondary
from domain.billing.submission.payer_view import reported
from domain.billing.submission.remittance import remittance_of
from domain.billing.submission.responses import PayerResponse, payer_number
from domain.billing.submission.status import Judgment
from domain.billing.submission.versions import ClaimStatus, ClaimVersion, RebillAfterVoid, SentFile
from domain.events.revenue import Adjustment, RemittedLine
from domain.rulebook import Rulebook
from domain.site import Site
from tests.kit.rules import rulebook
from tests.kit.site import site

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOLD = 4


@cache
def place() -> Site:
    """The example site on one clock with the payers, live."""
    there = site().facilities[0].model_copy(update={"time_zone": "UTC"})
    payers = tuple(payer.model_copy(update={"mode": "live"}) for payer in site().payers)
    return site().model_copy(update={"facilities": (there,), "payers": payers, "bill_hold_days": HOLD})


def version(
    state: State = State.EMITTED,
    frequency: str = "1",
    sent: datetime | None = T0 + timedelta(days=HOLD),
    rebill: RebillAfterVoid | None = None,
    **claim: Any,
) -> ClaimVersion:
    day = date(2026, 6, 30)
    given_: dict[str, Any] = {"payer": "medicare", "statement_from": day, "statement_through": day, "drg": None}
    made = Claim(
        letter="C",
        ordinal=1,
        form=Form.UB04,
        type_of_bill="111",
        place_of_service=None,
        facility="st_mary",
        setting="inpatient",
        ready=True,
        total=Decimal(1000),
        edition="current",
        rulebook_digest="",
        **(given_ | claim),
    )
    return ClaimVersion(
        number=1,
        claim=made,
        frequency=frequency,
        state=state,
        sequence=1,
        built_at=T0,
        emitted_at=None if state is State.HELD else T0,
        control_number="CE1",
        sent=SentFile(sent, written=True) if sent else None,
        status=ClaimStatus(rebill=rebill),
    )


def response(kind: str, day: int, **values: Any) -> PayerResponse:
    given_: dict[str, Any] = {"accepted": True, "event": f"evt_{kind}_{day}", "control": "CE1"}
    return PayerResponse(kind=kind, at=T0 + timedelta(days=day), **(given_ | values))


def adjusted(*entries: tuple[str, str, int]) -> tuple[Adjustment, ...]:
    return tuple(Adjustment(group=group, carc=carc, amount=Decimal(amount)) for group, carc, amount in entries)  # type: ignore[arg-type]


PAID = response("835", 20, status="1", paid=Decimal(900), adjustments=adjusted(("CO", "45", 100)))
CUT = response("835", 20, status="1", paid=Decimal(500), adjustments=adjusted(("CO", "45", 100), ("CO", "50", 400)))
DENIED = response("835", 20, status="4", adjustments=adjusted(("CO", "50", 1000)))
BACK = response("835", 40, status="22", paid=Decimal(-900))


DAY = timedelta(days=1)
PAYER, NEXT = ("/x12/835/1391268299", "a"), ("/x12/835/9876543210", "b")
SHARED = response(
    "835",
    20,
    status="19",
    place=PAYER,
    paid=Decimal(800),
    patient=Decimal(200),
    payer_number="FIRST",
    crossover="A SUPPLEMENT PLAN",
    adjustments=adjusted(("PR", "2", 200)),
)
"""Adjudicated by the primary payer, which crossed the share of the patient over."""
BEHIND = response(
    "835",
    45,
    event="evt_behind",
    status="2",
    place=NEXT,
    paid=Decimal(150),
    patient=Decimal(50),
    payer_number="SECOND",
    adjustments=adjusted(("OA", "23", 800), ("PR", "3", 50)),
)
REFUSED_BEHIND = response(
    "835", 45, event="evt_no", status="4", place=NEXT, adjustments=adjusted(("OA", "23", 800), ("CO", "29", 200))
)


def at_once(status: str, paid: int, refused: int = 0) -> PayerResponse:
    """One of a reversal and its correction, which one file brings; its id sorts against its order."""
    event = {"22": "evt_z", "1": "evt_a", "4": "evt_b"}[status]
    return response(
        "835", 40, event=event, status=status, paid=Decimal(paid), adjustments=adjusted(("CO", "50", refused))
    )


def part(status: str, paid: int, refused: int = 0) -> PayerResponse:
    """A part of a claim that the payer split, under the same control number in the same file."""
    cut = adjusted(("CO", "50", refused)) if refused else ()
    return response(
        "835", 20, event=f"evt_{status}_{paid}_{refused}", status=status, paid=Decimal(paid), adjustments=cut
    )


BACKGROUND = {field.name for field in fields(Background)}


def judge(responses: list[PayerResponse], day: float = 21, **values: Any) -> Judgment:
    """The judgment of one version; values are of its background, of its file or of its claim."""
    around = Background(**{name: value for name, value in values.items() if name in BACKGROUND})
    own = version(**{name: value for name, value in values.items() if name not in BACKGROUND})
    (one,) = reported((own,), responses, rulebook())
    return status.judge(one, around, rulebook(), place(), T0 + timedelta(days=day))


def amount(total: int, *lines: tuple[str, Decimal]) -> Expected:
    return Expected(Decimal(total), "example", (), lines)


@pytest.mark.parametrize(
    ("replies", "state"),
    [
        ([], "transmitted"),
        ([response("999", 5)], "acknowledged"),
        ([response("999", 5, accepted=False)], "rejected"),
        ([response("999", 5), response("277CA", 6, accepted=False)], "rejected"),
        ([response("277CA", 6), response("999", 7, accepted=False)], "acknowledged"),
        ([PAID], "paid"),
        ([CUT], "partly_paid"),
        ([DENIED], "denied"),
        ([DENIED, response("835", 30, status="1", paid=Decimal(900))], "paid"),
        ([PAID, BACK], "denied"),
        ([PAID, BACK, response("835", 50, status="1", paid=Decimal(900))], "paid"),
        ([response("835", 20, status="1", patient=Decimal(1000), adjustments=adjusted(("PR", "1", 1000)))], "paid"),
        ([response("835", 20, status="1", adjustments=adjusted(("CO", "45", 1000)))], "denied"),
        ([PAID, at_once("22", -900), at_once("1", 800)], "paid"),
        ([PAID, at_once("22", -900), at_once("4", 0, 1000)], "denied"),
        ([CUT, at_once("22", -500), at_once("1", 900)], "paid"),
        ([part("1", 600), part("4", 0, 300)], "partly_paid"),
        ([part("1", 600), part("1", 300)], "paid"),
        ([part("4", 0, 600), part("4", 0, 300)], "denied"),
        ([part("4", 0, 600), part("4", 0, 300), response("835", 30, status="1", paid=Decimal(900))], "paid"),
        ([response("835", 20, status="23", adjustments=adjusted(("OA", "109", 1000)))], "denied"),
        ([response("835", 20, status="25", paid=Decimal(0))], "transmitted"),
        ([response("835", 20, status="19", paid=Decimal(900))], "paid"),
        ([PAID, response("277CA", 25, accepted=False)], "paid"),
        ([response("277CA", 6), response("277CA", 9, accepted=False)], "rejected"),
        ([response("277CA", 6, accepted=False), response("277CA", 9)], "acknowledged"),
        ([PAID, response("PLB", 40, codes=("WO",), withheld=Decimal(900))], "denied"),
        ([CUT, response("PLB", 40, codes=("WO",), withheld=Decimal(600))], "denied"),
        ([SHARED, response("PLB", 40, codes=("WO",), withheld=Decimal(800))], "denied"),
        ([PAID, response("PLB", 40, codes=("WO",), withheld=Decimal(300))], "paid"),
        ([SHARED, BEHIND], "paid"),
        (
            [SHARED, BEHIND, replace(BEHIND, event="evt_back", status="22", paid=Decimal(-150), at=T0 + 60 * DAY)],
            "paid",
        ),
        ([SHARED, REFUSED_BEHIND], "paid"),
        ([DENIED, BEHIND], "denied"),
        ([BEHIND], "paid"),
        ([replace(BEHIND, paid=Decimal(0), patient=Decimal(0))], "paid"),
    ],
)
def test_the_state_follows_the_responses_in_any_order(replies: list[PayerResponse], state: str) -> None:
    for order in itertools.permutations(replies):
        assert judge(list(order), 60).state == state


def test_nothing_is_sent_before_its_last_day_is_over() -> None:
    """A service documented for a future day is not billed."""
    ahead = date(2026, 7, 20)
    assert not judge([], 19.4, sent=None, statement_through=ahead).send
    assert judge([], 19.5, sent=None, statement_through=ahead).send


def test_nothing_is_sent_before_the_hold_ends_nor_after_a_response() -> None:
    assert not judge([], 3.9, sent=None).send
    assert judge([], 4, sent=None).send
    assert not judge([], 9).send
    answered = judge([response("277CA", 2)], 9, sent=None)
    assert not answered.send
    assert [alert.kind for alert in answered.alerts] == ["claim_answered_unsent"]
    assert not judge([], 9, sent=None, state=State.HELD).send
    assert not judge([], 9, sent=None, frequency="7", number_needed=True).send


@pytest.mark.parametrize(
    ("day", "kinds"),
    [
        (4.9, set()),
        (5, {"claim_999_overdue"}),
        (7, {"claim_999_overdue", "claim_277ca_overdue"}),
        (34, {"claim_999_overdue", "claim_277ca_overdue", "claim_remittance_overdue"}),
    ],
)
def test_a_missing_response_opens_one_alert_after_another(day: float, kinds: set[str]) -> None:
    assert {alert.kind for alert in judge([], day).alerts} == kinds


def test_every_alert_has_owner_action_citation_and_the_key_of_its_claim() -> None:
    for alert in (*judge([], 340).alerts, *judge([DENIED], 140).alerts, *judge([PAID, BACK], 60).alerts):
        assert alert.owner
        assert alert.action
        assert alert.citation
        assert alert.key == f"claim.C/1.{alert.kind}"


def test_a_returned_wait_is_in_the_future() -> None:
    for day in range(0, 500, 7):
        for replies in ([], [response("999", 5)], [DENIED]):
            judged = judge(replies, day)
            assert all(wait.due > T0 + timedelta(days=day) for wait in judged.waiting)


def test_timely_filing_and_appeal_open_alerts_before_their_end() -> None:
    filing = date(2026, 6, 30) + timedelta(days=365)
    assert judge([]).status.file_by == filing
    pressing = (filing - date(2026, 7, 1)).days - 28
    assert "claim_filing_ending" in {alert.kind for alert in judge([], pressing).alerts}
    denied = judge([DENIED], 21)
    assert denied.status.appeal_by == (T0 + timedelta(days=20)).date() + timedelta(days=120)
    assert "claim_appeal_ending" in {alert.kind for alert in judge([DENIED], 20 + 108).alerts}
    assert denied.status.file_by is None


def test_a_rejected_claim_is_looked_at_every_day_without_being_shown() -> None:
    replies = [response("277CA", 6, accepted=False)]
    for day in (6.5, 7.0, 100.2):
        judged = judge(replies, day)
        assert judged.next is not None
        assert timedelta(0) < judged.next.due - (T0 + timedelta(days=day)) <= timedelta(days=1)
        assert judged.status.next_title == "timely filing ends"


@pytest.mark.parametrize(
    ("values", "watched"),
    [
        ({}, True),
        ({"frequency": "7"}, True),
        ({"frequency": "7", "filed_before": True}, False),
        ({"frequency": "8"}, False),
    ],
)
def test_timely_filing_is_watched_until_a_version_was_accepted(values: dict[str, Any], watched: bool) -> None:
    assert (judge([], **values).status.file_by is not None) is watched


def test_a_void_of_a_paid_claim_waits_until_the_payer_recoups_the_payment() -> None:
    accepted = [response("277CA", 6)]
    assert judge(accepted, 40, frequency="8").settled
    waiting = judge(accepted, 40, frequency="8", paid_before=Decimal(900))
    assert {alert.kind for alert in waiting.alerts} == {"claim_remittance_overdue"}


def test_the_share_of_the_patient_is_not_a_shortfall_of_the_payer() -> None:
    shared = response(
        "835", 20, status="1", paid=Decimal(700), patient=Decimal(200), adjustments=adjusted(("PR", "2", 200))
    )
    assert judge([shared], expected=amount(900)).status.shortfall is None
    assert judge([shared], expected=amount(1000)).status.shortfall == Decimal(100)


def test_a_recoupment_without_a_reversal_opens_an_alert_until_it_is_repaid() -> None:
    taken = response("PLB", 40, codes=("WO",), withheld=Decimal(300))
    judged = judge([PAID, taken], 50)
    assert judged.state == "paid"
    (alert,) = judged.alerts
    assert alert.kind == "claim_taken_back"
    assert "300.00" in alert.action
    given = response("PLB", 60, event="evt_given", codes=("WO",), withheld=Decimal(-300))
    assert judge([PAID, taken, given], 70).alerts == ()
    corrected = response("835", 40, event="evt_new", status="1", paid=Decimal(600))
    kinds = {alert.kind for alert in judge([PAID, at_once("22", -900), corrected, taken], 50).alerts}
    assert kinds == {"claim_taken_back"}
    assert judge([PAID, at_once("22", -900), corrected, taken], 50).remittance.withheld == 0


def test_a_recoupment_above_the_payment_starts_the_time_to_appeal() -> None:
    judged = judge([CUT, response("PLB", 40, codes=("WO",), withheld=Decimal(600))], 41)
    assert judged.status.appeal_by == (T0 + timedelta(days=40)).date() + timedelta(days=120)
    (alert,) = judged.alerts
    assert alert.kind == "claim_taken_back"
    assert "600.00, more than the $500.00 paid" in alert.action


def test_a_crossed_over_balance_waits_for_the_secondary_payer_and_is_not_owed_by_the_patient_yet() -> None:
    judged = judge([SHARED], 21, expected=amount(1000))
    assert (judged.remittance.forwarded, judged.remittance.crossover) == (True, ("A SUPPLEMENT PLAN",))
    assert (judged.alerts, judged.remittance.balance, judged.settled) == ((), Decimal(200), False)
    assert judged.status.next_title == "the secondary payer's remittance of A SUPPLEMENT PLAN"
    (overdue,) = judge([SHARED], 20 + 45).alerts
    assert overdue.kind == "claim_crossover_overdue"
    assert judge([replace(SHARED, patient=Decimal(0), adjustments=())], 80).settled


def test_a_secondary_payment_is_neither_payment_nor_denial_of_the_primary_payer() -> None:
    judged = judge([SHARED, BEHIND], 90, expected=amount(1300))
    assert (judged.remittance.paid, judged.remittance.paid_by_further) == (Decimal(800), Decimal(150))
    assert judged.remittance.balance == Decimal(50)
    assert (judged.remittance.refused, judged.status.shortfall) == (
        0,
        Decimal(300),
    )  # its money hides no underpayment either
    assert {alert.kind for alert in judged.alerts} == {"claim_underpaid"}
    assert judge([SHARED, BEHIND], 90).settled


def test_a_secondary_refusal_is_shown_beside_the_decision_of_the_primary_payer() -> None:
    judged = judge([SHARED, REFUSED_BEHIND], 90)
    (alert,) = judged.alerts
    assert alert.kind == "claim_further_payer_refused"
    assert "200.00 (CARC 29)" in alert.action
    assert (judged.status.appeal_by, judged.remittance.denied) == (None, False)
    back = response("PLB", 70, event="evt_plb", place=NEXT, codes=("WO",), withheld=Decimal(150))
    kinds = {alert.kind for alert in judge([SHARED, BEHIND, back], 90).alerts}
    assert kinds == {"claim_further_payer_took_back"}


FIRST_NO = response("835", 20, status="4", place=PAYER, trace="T1", adjustments=adjusted(("CO", "16", 600)))


@pytest.mark.parametrize(
    ("later", "appeals_from", "reasons"),
    [
        ([response("835", 60, status="4", place=PAYER, adjustments=adjusted(("CO", "50", 1000)))], 60, "CARC 50"),
        (
            [
                response("835", 40, status="22", place=PAYER),
                response("835", 60, status="4", place=PAYER, adjustments=adjusted(("CO", "50", 1000))),
            ],
            60,
            "CARC 50",
        ),
        ([replace(FIRST_NO, event="evt_part", adjustments=adjusted(("CO", "50", 400)))], 20, "CARC 16, 50"),
    ],
    ids=["denied again", "reversed and denied again", "split in two"],
)
def test_a_second_denial_by_one_payer_does_not_count_as_a_secondary_payer(
    later: list[PayerResponse], appeals_from: int, reasons: str
) -> None:
    judged = judge([FIRST_NO, *later], 61)
    (alert,) = judged.alerts
    assert alert.kind == "claim_denied"
    assert reasons in alert.action
    assert (judged.remittance.refused, judged.remittance.secondary) == (1000, None)
    assert judged.status.appeal_by == (T0 + appeals_from * DAY).date() + timedelta(days=120)
    after = judge([FIRST_NO, *later, replace(REFUSED_BEHIND, at=T0 + 70 * DAY)], 71)
    assert {one.kind for one in after.alerts} == {"claim_denied", "claim_further_payer_refused"}


def test_a_payer_that_reports_another_primary_opens_an_alert_and_its_amount_is_not_compared() -> None:
    judged = judge([BEHIND], 90, expected=amount(1000))
    (alert,) = judged.alerts
    assert alert.kind == "claim_adjudicated_as_further"
    assert (judged.status.shortfall, judged.remittance.paid, judged.remittance.refused) == (None, Decimal(150), 0)


def test_a_replacement_names_the_number_of_the_primary_payer() -> None:
    assert payer_number(of_first([SHARED, BEHIND])) == "FIRST"
    assert payer_number(of_first([BEHIND])) == "SECOND"
    assert of_secondary([SHARED, response("277CA", 6)]) == []


def test_a_rejected_void_reports_that_the_payer_still_has_the_claim() -> None:
    rejected = [response("277CA", 6, accepted=False, codes=("A3:464",))]
    (alert,) = judge(rejected, 7, frequency="8").alerts
    assert alert.kind == "claim_void_rejected"
    assert "Rejected by 277CA A3:464." in alert.action
    after = judge([response("277CA", 6)], 7, void_rejected=VoidRejected(T0, "by 277CA A3:464", "evt_void"))
    assert {alert.kind for alert in after.alerts} == {"claim_void_rejected"}


def test_a_claim_after_a_void_has_its_filing_deadline() -> None:
    behind = RebillAfterVoid("uhc", date(2026, 6, 30), Decimal(1000))
    waits: dict[str, Any] = {"frequency": "8", "sent": None, "number_needed": True}
    assert judge([], 20, **waits).status.file_by is None
    judged = judge([], 20, **waits, rebill=behind)
    assert judged.status.file_by == date(2026, 6, 30) + timedelta(days=90)
    assert {alert.kind for alert in judge([], 70, **waits, rebill=behind).alerts} == {
        "claim_filing_ending",
        "claim_replacement_waiting",
    }
    assert judge([], 20, frequency="8", rebill=behind).status.file_by is None  # the void is out


def test_a_recoupment_is_not_an_acknowledgment() -> None:
    assert judge([response("PLB", 5, withheld=Decimal(300))], 6).state == "transmitted"


def test_a_denial_names_the_lines_that_were_refused() -> None:
    line = RemittedLine(hcpcs="J9185", charge=Decimal(600), paid=Decimal(200), adjustments=adjusted(("CO", "50", 400)))
    (alert,) = judge([replace(CUT, lines=(line,))], 21).alerts
    assert "J9185: 400.00 (CARC 50)" in alert.action


@pytest.mark.parametrize(
    ("code", "carc", "numbers"),
    [
        ("J9185", "16", [7]),
        ("Q2053", "16", [9, 12]),
        ("96413", "16", []),
        ("J9185", "252", [2, 3, 5]),
        (None, "16", [7, 8, 9, 10, 12]),
    ],
)
def test_a_refused_line_gets_no_advice_on_what_another_bills(code: str | None, carc: str, numbers: list[int]) -> None:
    cut = adjusted(("CO", carc, 400))
    line = RemittedLine(hcpcs=code, revenue_code=None, charge=Decimal(600), paid=Decimal(200), adjustments=cut)
    reply = response("835", 20, status="1", paid=Decimal(500), adjustments=cut, lines=(line,) if code else ())
    found = judge([reply]).remittance
    fit = rows(rulebook(), date(2026, 6, 30), found.refused_reasons, found.remarks, (), found.refused_codes)
    assert [row.number for row in fit] == numbers
    if not numbers:
        (alert,) = judge([reply]).alerts
        assert "no known denial fits these codes" in alert.action


def test_a_refusal_of_the_whole_claim_beside_a_line_gives_advice_on_the_claim() -> None:
    line = RemittedLine(hcpcs="J9185", charge=Decimal(600), paid=Decimal(200), adjustments=adjusted(("CO", "16", 400)))
    both = response("835", 20, paid=Decimal(1), adjustments=adjusted(("CO", "16", 400), ("CO", "16", 9)), lines=(line,))
    assert judge([both]).remittance.refused_codes == ()


def test_a_denial_leads_to_the_guides_row_and_its_fix(rules: Rulebook) -> None:
    on = date(2026, 6, 30)
    assert [row.number for row in rows(rules, on, {"58"}, {"N570"})] == [1]
    assert rows(rules, on, {"ZZ"}, {"N570"}) == ()
    (alert,) = judge([DENIED], 21).alerts
    assert alert.denial is None
    assert "Possible causes: 1 " in alert.action
    assert "Appeal or send a replacement by 2026-" in alert.action
    unknown = response("835", 20, status="4", adjustments=adjusted(("CO", "A1", 1000)))
    (other,) = judge([unknown], 21).alerts
    assert "no known denial fits these codes" in other.action


def test_a_denial_of_another_indication_does_not_apply_to_the_claim(rules: Rulebook) -> None:
    on = date(2026, 6, 30)
    missing = ({"252"}, {"N706"})
    numbers = {
        code: [row.number for row in rows(rules, on, *missing, [code])] for code in ("C83.18", "C91.02", "D89.832")
    }
    assert 2 in numbers["C83.18"]
    assert 3 not in numbers["C83.18"]
    assert 3 in numbers["C91.02"]
    assert 2 not in numbers["C91.02"]
    assert {2, 3} <= set(numbers["D89.832"])
    assert {2, 3} <= {row.number for row in rows(rules, on, *missing)}
    refused = {"197"}  # no authorization: the request lacked what its indication asks for
    assert [row.number for row in rows(rules, on, refused, set(), ["C83.18"])] == [2]
    assert [row.number for row in rows(rules, on, refused, set(), ["C91.02"])] == [3]


def test_a_payment_below_the_expected_amount_is_found_and_sequestration_is_not() -> None:
    assert judge([PAID], expected=amount(1000)).status.shortfall == Decimal(100)
    assert judge([PAID], expected=amount(900)).status.shortfall is None
    assert judge([PAID], expected=amount(905)).status.shortfall is None  # within the tolerance
    reduced = response("835", 20, status="1", paid=Decimal(980), adjustments=adjusted(("CO", "253", 20)))
    assert judge([reduced], expected=amount(1000)).status.shortfall is None
    assert judge([CUT], expected=amount(1000)).status.shortfall is None  # the refusal is the finding


def test_each_line_is_compared_where_the_remittance_lists_lines() -> None:
    def paid_lines(product: int, room: int, taken: int = 0) -> PayerResponse:
        cut = adjusted(("CO", "253", taken)) if taken else ()
        lines = (
            RemittedLine(hcpcs="Q2053", charge=Decimal(1000), paid=Decimal(product), adjustments=cut),
            RemittedLine(hcpcs="99215", charge=Decimal(500), paid=Decimal(room)),
        )
        return response("835", 20, status="1", paid=Decimal(product + room), lines=lines, adjustments=cut)

    wanted = {"expected": amount(900, ("Q2053", Decimal(900)))}
    assert judge([paid_lines(600, 500)], **wanted).status.shortfall == Decimal(300)
    assert judge([paid_lines(900, 0)], **wanted).status.shortfall is None
    assert judge([paid_lines(882, 0, taken=18)], **wanted).status.shortfall is None
    assert judge([response("835", 20, status="1", paid=Decimal(1100))], **wanted).status.shortfall is None


@pytest.mark.parametrize(("paid_by", "kinds"), [("018", set()), ("016", {"claim_other_drg"}), (None, set())])
def test_a_payment_by_another_group_is_denial_ten(paid_by: str | None, kinds: set[str]) -> None:
    judged = judge([replace(PAID, drg=paid_by)], drg="018")
    assert {alert.kind for alert in judged.alerts} == kinds
    assert all(alert.denial == 10 and "Billed 018, paid by 016" in alert.action for alert in judged.alerts)


amounts = st.integers(0, 1000).map(Decimal)
remits = st.builds(
    lambda day, status, paid, refused: response(
        "835", day, status=status, paid=-paid if status == "22" else paid, adjustments=adjusted(("CO", "50", refused))
    ),
    st.integers(1, 300),
    st.sampled_from(["1", "2", "4", "22"]),
    amounts,
    st.integers(0, 1000),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(remits, max_size=6, unique_by=lambda reply: reply.at), st.randoms(use_true_random=False))
def test_money_and_state_do_not_depend_on_arrival(found: list[PayerResponse], chance: Any) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    one, other = judge(found, 301), judge(shuffled, 301)
    assert (one.state, one.alerts, one.remittance) == (other.state, other.alerts, other.remittance)
    total = remittance_of(sorted(found, key=lambda reply: reply.order), rulebook(), date(2026, 6, 30))
    assert total.paid + total.paid_by_further == sum(reply.paid for reply in found)
    assert one.settled or one.waiting or one.alerts
