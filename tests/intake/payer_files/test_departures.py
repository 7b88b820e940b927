"""Files that depart from their guide: what is imported all the same, what is kept apart, and whose answers are ours."""

from __future__ import annotations

import json

import pytest
from prometheus_client import REGISTRY
from sqlmodel import select

from intake.inbox.receive import Disposition
from intake.payer_files import reading
from intake.payer_files.importer import PayerFileImporter
from intake.payer_files.reading import Payload, read_apart
from store.tables import Quarantine
from tests.domain.billing.x12_files import FIXTURES
from tests.intake.payer_files.conftest import CLAIM, Post
from tests.intake.payer_files.made import claim, remittance
from tests.kit.events import NOW


@pytest.fixture
def sent(post: Post) -> Post:
    post.add_claim()
    return post


def fixture(name: str) -> bytes:
    return (FIXTURES / name / "message").read_bytes()


def put(post: Post, name: str) -> None:
    post.put("file.x12", "")
    (post.directory / "file.x12").write_bytes(fixture(name))


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("cart_feed_departures_total", {"format": "x12", "kind": kind}) or 0.0


def quarantined(post: Post) -> list[tuple[str, list[str]]]:
    with post.db.read() as session:
        return [(row.type, list(row.reasons)) for row in session.exec(select(Quarantine))]


@pytest.mark.parametrize(
    ("name", "accepted", "kind"),
    [
        ("277ca-rejected-separator-gt", False, None),
        ("277ca-segments-end-with-line-feed", True, None),
        ("277ca-segments-end-with-carriage-return", True, None),
        ("277ca-ctrl-z-nul-and-blanks-at-end", True, "bytes_without_meaning"),
        ("277ca-byte-order-mark", True, "byte_order_mark"),
        ("277ca-records-of-80-bytes", True, "records"),
        ("277ca-utf-8-name", True, "utf_8"),
        ("835-latin-1-name", True, "latin_1"),
        ("835-guide-without-addendum", True, "guide_version"),
        ("835-without-payer-contact-and-address", True, "guide"),
        ("835-doubled-segment-ends", True, None),
    ],
)
def test_a_departure_is_counted_named_beside_the_file_and_changes_nothing(
    sent: Post, name: str, accepted: bool, kind: str | None
) -> None:
    before = counted(kind) if kind else 0
    put(sent, name)
    assert sent.sweep() == 1, sent.reasons()
    assert [ok for _, ok, _ in sent.answers()] == [accepted]
    assert sent.alerts() == []
    records = list((sent.directory / "processed").glob("*.json"))
    assert bool(records) == bool(kind)
    if kind:
        assert json.loads(records[0].read_text())["departures"]
        assert counted(kind) > before


def test_a_bare_accepting_ta1_is_filed_on_its_claim_without_an_alert(sent: Post) -> None:
    put(sent, "ta1-accepted")
    assert sent.sweep() == 1, sent.reasons()
    assert sent.answers() == [("TA1", True, "")]
    assert (sent.alerts(), quarantined(sent)) == ([], [])


def test_a_ta1_on_an_interchange_of_another_system_is_filed_too(post: Post) -> None:
    put(post, "ta1-accepted")
    assert post.sweep() == 1, post.reasons()
    assert (post.answers(), post.alerts()) == ([], [])


def test_groups_beside_a_refusing_ta1_are_read_and_the_ta1_is_work(sent: Post) -> None:
    put(sent, "ta1-refused-beside-277ca")
    assert sent.sweep() == 1
    assert sent.answers() == [("277CA", True, "")]
    assert sent.alerts() == ["reply_file_refused"]
    ((kind, (reason,)),) = quarantined(sent)
    assert kind == "x12"
    assert "our interchange was refused" in reason


@pytest.mark.parametrize(("category", "accepted"), [(b"A2:20:PR", True), (b"A7:562:85", False)])
def test_a_ta1_beside_a_277ca_hides_no_verdict(sent: Post, category: bytes, accepted: bool) -> None:
    put(sent, "ta1-beside-277ca")
    path = sent.directory / "file.x12"
    path.write_bytes(path.read_bytes().replace(b"STC*A2:20:PR", b"STC*" + category))
    assert sent.sweep() == 1, sent.reasons()
    assert sorted((kind, verdict) for kind, verdict, _ in sent.answers()) == [("277CA", accepted), ("TA1", True)]
    assert "event_conflict" not in sent.alerts()


@pytest.mark.parametrize("codes", [(b"A", b"R"), (b"R", b"A")])
def test_of_two_verdicts_on_one_transaction_the_refusal_counts(sent: Post, codes: tuple[bytes, bytes]) -> None:
    put(sent, "999-accepted")
    path = sent.directory / "file.x12"
    lines = path.read_bytes()
    first = next(part for part in lines.split(b"~") if part.strip().startswith(b"IK5"))
    both = b"~".join(b"IK5*" + code for code in codes)
    changed = lines.replace(first.strip(), both)
    trailer = next(part for part in changed.split(b"~") if part.strip().startswith(b"SE*")).strip()
    count = int(trailer.split(b"*")[1])
    path.write_bytes(changed.replace(trailer, trailer.replace(str(count).encode(), str(count + 1).encode(), 1)))
    assert sent.sweep() == 1, sent.reasons()
    assert [(kind, verdict) for kind, verdict, _ in sent.answers()] == [("999", False)]


def test_a_status_that_accepts_with_an_action_that_rejects_is_work(sent: Post) -> None:
    put(sent, "277ca-accepted")
    path = sent.directory / "file.x12"
    text = path.read_bytes()
    claim_level = text.index(b"TRN*2*CE")
    head, tail = text[:claim_level], text[claim_level:]
    path.write_bytes(head + tail.replace(b"*WQ*", b"*U*", 1))
    assert sent.sweep() == 0
    assert sent.answers() == []
    assert "STC03 rejects" in sent.reasons()[0]
    assert sent.alerts() == ["reply_file_refused"]


def test_one_claim_that_cannot_be_read_is_kept_alone_and_the_rest_is_posted(sent: Post) -> None:
    put(sent, "835-claim-that-cannot-be-read")
    assert sent.sweep() == 1, sent.reasons()
    assert sent.answers() == [("835", True, "1")]
    assert sent.alerts() == ["reply_file_refused"]
    assert quarantined(sent) == [("x12", ["one response of it could not be read: CLP02 is no status of a claim"])]


def test_an_unreadable_claim_of_another_system_is_no_work_where_all_remittances_come_here(sent: Post) -> None:
    sent.site = sent.site.model_copy(update={"whole_house_remittances": True})
    put(sent, "835-claim-that-cannot-be-read")
    assert sent.sweep() == 1
    assert (len(sent.answers()), sent.alerts(), quarantined(sent)) == (1, [], [])


def test_a_value_that_no_event_can_carry_is_kept_with_an_alert(sent: Post) -> None:
    other = claim("CE0000000099", cas="CAS*XX*45*200~")
    sent.put("835.x12", remittance(claim(CLAIM), other, transfer="1600"))
    assert sent.sweep() == 1, sent.reasons()
    assert sent.answers() == [("835", True, "1")]
    assert sent.alerts() == ["reply_file_refused"]


def test_two_provider_adjustments_are_both_posted(sent: Post) -> None:
    put(sent, "835-two-provider-adjustments")
    assert sent.sweep() == 1, sent.reasons()
    assert [kind for kind, _ in quarantined(sent)] == ["cart.claim.recouped", "cart.claim.recouped"]


@pytest.mark.parametrize("name", ["835-provider-adjustments-alone", "835-interest-alone", "997-accepted"])
def test_a_file_without_a_claim_is_filed(sent: Post, name: str) -> None:
    put(sent, name)
    assert sent.sweep() == 1, sent.reasons()
    assert sent.alerts() == []


@pytest.mark.parametrize("name", ["277ca-unknown-category", "277ca-rejected-where-component-is-not-the-separator"])
def test_an_unknown_verdict_accepts_nothing(sent: Post, name: str) -> None:
    put(sent, name)
    assert sent.sweep() == 0
    assert sent.answers() == []
    assert sent.alerts() == ["reply_file_refused"]


def test_a_partner_may_answer_under_another_name_that_the_site_file_lists(sent: Post) -> None:
    body = fixture("999-accepted").replace(b"*EXMACJK        *", b"*OTHERNAME      *")
    sent.put("1.x12", body.decode())
    assert sent.sweep() == 0
    assert sent.reasons() == ["it answers an interchange that was not sent from here"]
    medicare = sent.site.payers[0].model_copy(update={"answers_from": ("OTHERNAME",)})
    sent.site = sent.site.model_copy(update={"payers": (medicare, *sent.site.payers[1:])})
    sent.put("2.x12", body.decode())
    assert sent.sweep() == 1, sent.reasons()
    assert sent.answers() == [("999", True, "")]


def test_a_file_that_takes_too_long_is_refused_and_the_next_one_is_read(
    sent: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FILE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FILE_SECONDS_PER_MEGABYTE", 0.0)
    put(sent, "835-paid")
    assert sent.sweep() == 0
    assert sent.reasons() == ["it was not read within 0 seconds"]
    monkeypatch.undo()
    put(sent, "277ca-accepted")
    assert sent.sweep() == 1


def test_a_reader_serves_one_file_after_the_other_refused_ones_among_them(sent: Post) -> None:
    taker = PayerFileImporter(sent.db, sent.keys, lambda: sent.site)
    zone = sent.site.facilities[0].zone
    for name in ("no-x12", "835-does-not-balance", "277ca-torn"):
        with pytest.raises(ValueError, match=r"X12|balance|trailer"):
            list(read_apart(Payload.of(fixture(name)), zone))
        assert list(read_apart(Payload.of(fixture("277ca-accepted")), zone))
    taken = taker.take(fixture("835-paid"), NOW)
    assert [one.disposition for one in taken.receipts] == [Disposition.ACCEPTED]
