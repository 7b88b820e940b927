"""What the codes of a 999 or 277CA mean for a claim, and how they are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.billing.submission.response_codes import explained
from domain.billing.submission.responses import PayerResponse
from domain.billing.x12.acknowledgements import ACCEPTANCES, RECEIPTS, REJECTIONS
from domain.rulebook.rows import ResponseCode
from tests.domain.billing.submission.test_status import T0, judge, response
from tests.kit.rules import rulebook

LAST_DAYS = 360
"""Timely filing of the example payer ends after a year; its warning opens before."""


def kinds(*responses: object, day: float) -> set[str]:
    return {alert.kind for alert in judge(list(responses), day=day).alerts}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("codes", "ends"),
    [(("A2:20:PR",), True), (("A5:20",), True), (("A1:19:PR",), False), (("A0:16:AY",), False), ((), True)],
)
def test_only_an_acceptance_ends_the_filing_watch(codes: tuple[str, ...], ends: bool) -> None:
    received = response("277CA", 6, codes=codes)
    assert judge([received]).state.value == "acknowledged"
    assert (judge([received]).status.file_by is None) == ends
    assert ("claim_filing_ending" in kinds(received, day=LAST_DAYS)) != ends


def test_a_999_and_a_ta1_are_receipts_and_a_remittance_ends_the_watch() -> None:
    assert judge([response("999", 5)]).status.file_by
    assert judge([response("TA1", 5)]).status.file_by
    assert judge([response("TA1", 5)]).state.value == "transmitted"
    assert judge([response("835", 20, status="1", paid=1000)]).status.file_by is None


def test_a_ta1_counts_for_the_silence_after_transmission() -> None:
    assert "claim_999_overdue" in kinds(day=20)
    assert "claim_999_overdue" not in kinds(response("TA1", 5), day=20)
    assert "claim_277ca_overdue" in kinds(response("TA1", 5), day=40)


def test_a_rejection_is_shown_in_words_with_the_entity() -> None:
    refused = response("277CA", 6, accepted=False, codes=("A7:562:85",))
    (alert,) = (alert for alert in judge([refused]).alerts if alert.kind == "claim_rejected")
    assert (
        "by 277CA A7:562:85. Meaning: rejected: invalid information, national provider identifier, billing provider."
        in alert.action
    )


def test_a_999_that_accepts_with_errors_is_shown_on_its_claim_until_a_later_one() -> None:
    codes = ("IK3:HI:24:2300:8", "CTX:HI:24:2300", "IK4:2-9:7", "IK5:E")
    received = response("999", 5, codes=codes)
    (alert,) = (alert for alert in judge([received]).alerts if alert.kind == "claim_accepted_with_errors")
    for words in ("segment HI (number 24, loop 2300): element in error", "element 2-9: invalid code", "segment HI 24"):
        assert words in alert.action
    assert "claim_accepted_with_errors" not in kinds(received, response("999", 6), day=7)


def test_a_code_without_a_row_stays_a_code() -> None:
    unknown = response("277CA", 6, accepted=False, codes=("A7:9999",))
    assert (
        explained(unknown, rulebook(), T0.date())
        == "by 277CA A7:9999. Meaning: rejected: invalid information, code 9999"
    )


def test_the_reader_and_the_rulebook_agree_on_what_accepts() -> None:
    rows = {row.code: row.meaning for row in rulebook().table(ResponseCode) if row.list == "category"}
    assert {code for code, meaning in rows.items() if meaning == "accepted"} == ACCEPTANCES
    assert {code for code, meaning in rows.items() if meaning == "receipt"} == RECEIPTS
    assert {code for code, meaning in rows.items() if meaning == "rejected"} == REJECTIONS


@pytest.mark.parametrize(
    "later",
    [response("277CA", 7, codes=("A1:19:PR",)), response("277CA", 7, codes=("A0:16:AY",))],
    ids=["received", "forwarded"],
)
def test_a_receipt_cancels_no_rejection(later: PayerResponse) -> None:
    by_payer = response("277CA", 6, accepted=False, codes=("A7:562:85",))
    by_file = response("999", 6, accepted=False, codes=("IK5:R",))
    assert judge([by_payer, later]).state.value == "rejected"
    assert judge([by_file, later]).state.value == "rejected"
    assert judge([by_payer, response("277CA", 8, codes=("A2:20:PR",))]).state.value == "acknowledged"


def test_of_verdicts_of_one_moment_a_rejection_counts() -> None:
    accepted = replace(response("277CA", 6, codes=("A2:20:PR",)), event="evt_9")
    refused = replace(response("277CA", 6, accepted=False, codes=("A7:562:85",)), event="evt_10")
    assert judge([accepted, refused]).state.value == "rejected"
    assert judge([refused, accepted]).state.value == "rejected"
