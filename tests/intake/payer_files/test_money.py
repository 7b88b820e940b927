"""What a remittance brings: lines, reversals, recoupments, copies by another way, and claims of other systems."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlmodel import select

from domain.billing.submission.remittance import remittance_of
from domain.billing.submission.responses import PayerResponse, responses_of
from domain.encounter.facts import fold
from domain.rulebook import Rulebook
from store.facts import load_facts
from store.tables import InboxConflict, Quarantine
from tests.intake.payer_files.conftest import CLAIM, Post
from tests.intake.payer_files.made import claim, refused_batch, remittance

PAYER_NUMBER = f"226{CLAIM[-9:]}"


def received(post: Post) -> list[PayerResponse]:
    own, _ = load_facts(post.db, post.keys, post.encounter, 10_000)
    return list(responses_of(fold(own)))


def waiting(post: Post) -> list[Quarantine]:
    with post.db.read() as session:
        return list(session.exec(select(Quarantine)))


@pytest.fixture
def sent(post: Post) -> Post:
    post.add_claim()
    return post


def test_each_line_says_what_it_was_refused(sent: Post, rules: Rulebook) -> None:
    lines = [
        *("SVC*HC:J9185*600*600**6~", "DTM*472*20260801~"),
        *("SVC*HC:Q2053*400*100*0891*1~", "DTM*472*20260806~", "CAS*CO*50*250**45*50~", "LQ*HE*N706~"),
    ]
    sent.put("835.x12", remittance(claim(CLAIM, "1", "1000", "700", *lines, cas=""), transfer="700"))
    assert sent.sweep() == 1, sent.reasons()
    (reply,) = received(sent)
    assert [(line.hcpcs, line.revenue_code, line.paid) for line in reply.lines] == [
        ("J9185", None, Decimal(600)),
        ("Q2053", "0891", Decimal(100)),
    ]
    total = remittance_of([reply], rules, reply.at.date())
    assert total.refused == Decimal(250)
    assert total.refused_lines == ("Q2053: 250.00 (CARC 50)",)
    assert reply.remarks == ("N706",)


def test_a_line_that_does_not_balance_quarantines_the_file(sent: Post) -> None:
    lines = ("SVC*HC:J9185*1000*800**6~", "DTM*472*20260801~", "CAS*CO*45*150~")
    sent.put("835.x12", remittance(claim(CLAIM, "1", "1000", "800", *lines, cas="CAS*CO*45*50~"), transfer="800"))
    assert sent.sweep() == 0
    assert sent.reasons() == [
        "a service line of it does not balance (SVC02, CAS, SVC03): 800 was paid, 850 is explained"
    ]


def test_reversal_and_correction_of_one_file_stand_in_their_order(sent: Post, rules: Rulebook) -> None:
    sent.put("1.x12", remittance(claim(CLAIM, "1", "1000", "800"), transfer="800"))
    pair = (claim(CLAIM, "22", "-1000", "-800"), claim(CLAIM, "1", "1000", "900"))
    sent.put("2.x12", remittance(*pair, transfer="100", trace="EFT0000008", number=106, day="20261001"))
    assert sent.sweep() == 2, sent.reasons()
    total = remittance_of(received(sent), rules, received(sent)[0].at.date())
    assert (total.paid, total.taken_back, total.denied) == (Decimal(900), False, False)


def test_the_same_transfer_by_another_way_is_counted_once(sent: Post) -> None:
    sent.put("payer.x12", remittance(claim(CLAIM), transfer="800"))
    assert sent.sweep() == 1
    again = (
        remittance(claim(CLAIM), transfer="800", number=777)
        .replace("*ZZ*EXMACJK        *", "*ZZ*CLEARING01     *")
        .replace("GS*HP*EXMACJK", "GS*HP*CLEARING01")
    )
    sent.put("clearing-house.x12", again)
    assert sent.sweep() == 1
    assert [reply.paid for reply in received(sent)] == [Decimal(800)]
    assert sent.alerts() == []


def test_the_same_transfer_with_another_amount_contradicts_the_first(sent: Post) -> None:
    sent.put("1.x12", remittance(claim(CLAIM), transfer="800"))
    sent.put("2.x12", remittance(claim(CLAIM, paid="700"), transfer="700", number=106))
    sent.sweep()
    assert [reply.paid for reply in received(sent)] == [Decimal(800)]
    assert sent.alerts() == ["event_conflict"]
    with sent.db.read() as session:
        assert len(session.exec(select(InboxConflict)).all()) == 1


def test_money_withheld_for_a_claim_reaches_it_by_the_payers_number(sent: Post, rules: Rulebook) -> None:
    sent.put("1.x12", remittance(claim(CLAIM), transfer="800"))
    taken = f"PLB*1234560013*20261231*WO:{PAYER_NUMBER}*300*L6:INTEREST*-20~"
    other = claim("CE0000000099", paid="1000")
    sent.put("2.x12", remittance(other, transfer="720", trace="EFT0000009", number=107, plb=taken, day="20261101"))
    assert sent.sweep() == 2, sent.reasons()
    total = remittance_of([r for r in received(sent) if r.control == CLAIM], rules, received(sent)[0].at.date())
    assert (total.paid, total.withheld) == (Decimal(800), Decimal(300))
    assert [row.type for row in waiting(sent)] == ["cart.claim.remitted"]


def test_money_withheld_for_an_unknown_claim_waits_until_it_is_known(sent: Post) -> None:
    taken = f"PLB*1234560013*20261231*WO:{PAYER_NUMBER}*300~"
    sent.put("1.x12", remittance(claim("CE0000000099", paid="1000"), transfer="700", plb=taken))
    sent.sweep()
    assert {row.type for row in waiting(sent) if row.state == "waiting"} == {
        "cart.claim.remitted",
        "cart.claim.recouped",
    }
    sent.put("2.x12", remittance(claim(CLAIM), transfer="800", trace="EFT0000010", number=108))
    sent.sweep()
    assert {row.type for row in waiting(sent) if row.state == "waiting"} == {"cart.claim.remitted"}
    assert [reply.withheld for reply in received(sent) if reply.kind == "PLB"] == [Decimal(300)]


def test_a_zero_payment_with_all_of_it_owed_by_the_patient_is_taken(sent: Post) -> None:
    text = remittance(claim(CLAIM, "1", "1000", "0", cas="CAS*PR*1*1000~", patient="1000"), transfer="0")
    sent.put("835.x12", text.replace("BPR*I*0*C*ACH*CCP*", "BPR*H*0*C*NON**"))
    assert sent.sweep() == 1, sent.reasons()
    assert [(reply.paid, reply.patient) for reply in received(sent)] == [(Decimal(0), Decimal(1000))]


def test_several_claims_of_one_file_each_reach_their_own(sent: Post) -> None:
    sent.add_claim("CE0000000043", version=2, interchange=8)
    sent.put("835.x12", remittance(claim(CLAIM), claim("CE0000000043", paid="500"), transfer="1300"))
    sent.sweep()
    assert {reply.control: reply.paid for reply in received(sent)} == {
        CLAIM: Decimal(800),
        "CE0000000043": Decimal(500),
    }


def test_claims_of_other_systems_wait_or_are_passed_over_as_the_site_says(sent: Post) -> None:
    text = remittance(claim(CLAIM), claim("HOSPITAL-4711"), claim("HOSPITAL-4712"), transfer="2400")
    sent.site = sent.site.model_copy(update={"whole_house_remittances": True})
    sent.put("835.x12", text)
    assert sent.sweep() == 1
    assert len(received(sent)) == 1
    assert waiting(sent) == []
    sent.put("none.x12", remittance(claim("HOSPITAL-4713"), transfer="800", trace="EFT0000011", number=109))
    assert sent.sweep() == 0
    assert sent.reasons() == ["it answers no claim that was sent from here"]
    sent.site = sent.site.model_copy(update={"whole_house_remittances": False})
    sent.put("all.x12", remittance(claim("HOSPITAL-4714"), transfer="800", trace="EFT0000012", number=110))
    assert sent.sweep() == 1
    assert [row.state for row in waiting(sent)] == ["waiting"]


@pytest.mark.parametrize("what", ["999", "277CA"])
def test_a_batch_that_is_refused_whole_rejects_its_claim(sent: Post, what: str) -> None:
    if what == "999":
        text = (sent.sample("rejected.999.x12")).replace("CTX*CLM01:@CLAIM@~\n", "").replace("SE*9*", "SE*8*")
        sent.put("999.x12", text.replace("@INTERCHANGE@", "7"))
    else:
        sent.put("277.x12", refused_batch(7))
    assert sent.sweep() == 1, sent.reasons()
    assert [(reply.kind, reply.accepted, reply.control) for reply in received(sent)] == [(what, False, CLAIM)]


def test_a_claim_that_a_999_names_counts_before_its_interchange(sent: Post) -> None:
    sent.add_claim("CE0000000043", version=2, interchange=8)
    sent.drop("rejected.999.x12", claim="CE0000000043", interchange=7)
    sent.sweep()
    assert [reply.control for reply in received(sent)] == ["CE0000000043"]


def test_a_refused_interchange_says_so(sent: Post) -> None:
    head = sent.sample("rejected.999.x12").partition("GS*")[0]
    sent.put("ta1.x12", f"{head}TA1*000000007*260901*1000*R*020~\nIEA*0*000000102~\n")
    sent.sweep()
    assert "our interchange was refused" in sent.reasons()[0]


def test_a_claim_passed_on_names_the_further_payer_whose_answer_is_its_own(sent: Post, rules: Rulebook) -> None:
    """005010X221A1: CLP02 19, crossover carrier NM1*TT; the secondary payer's CLP02 2 with what came before in OA*23."""
    first = claim(CLAIM, "19", "1000", "800", cas="CAS*PR*2*200~", patient="200")
    first.insert(3, "NM1*TT*2*A SUPPLEMENT PLAN*****PI*98765~")
    sent.put("1.x12", remittance(first, transfer="800"))
    behind = claim(CLAIM, "2", "1000", "150", cas="CAS*OA*23*800~\nCAS*PR*3*50~", patient="50")
    other = remittance(behind, transfer="150", trace="EFT0000008", number=106, day="20261001")
    sent.put("2.x12", other.replace("TRN*1*EFT0000008*1", "TRN*1*EFT0000008*9"))
    assert sent.sweep() == 2, sent.reasons()
    total = remittance_of(received(sent), rules, received(sent)[0].at.date())
    assert (total.paid, total.refused, total.crossover) == (Decimal(800), 0, ("A SUPPLEMENT PLAN",))
    assert (total.paid_by_further, total.balance) == (Decimal(150), Decimal(50))
