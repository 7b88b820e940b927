"""Broken frames and messages: a refusal or a kept original, never a crash, a lost connection or half an effect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from app.api.access import Access, digest
from app.api.actors import Actor
from app.process.gateway import create_gateway
from intake.faults import NotHl7, NotUsable
from intake.hl7 import mllp as transport
from intake.hl7.framing import END, LARGEST, RETURN, START, Framer
from intake.hl7.mapping_check import check
from intake.hl7.message import moment, read
from intake.hl7.mllp import MllpServer, tls_context
from intake.hl7.receiver import Hl7Receiver
from intake.inbox.receive import Disposition, replay
from intake.replay import reader_of
from intake.site_mapping import MappingError, SiteMapping, parse_mapping
from store.keys import Keyring
from store.tables import Alias, Encounter, Inbox, Quarantine, RecordMerge
from tests.kit import events as e
from tests.kit.certificates import make as make_certificates
from tests.kit.databases import as_owner
from tests.kit.files import DEPLOY
from tests.kit.mllp import PATIENCE, Client, Mllp, framed, recorded

GOOD = recorded("story")[0]


async def test_every_broken_message_is_named_and_what_could_be_read_is_kept(mllp: Mllp) -> None:
    client = await mllp.connect()
    answers = [await client.send(message) for message in recorded("broken")]
    await client.close()
    codes = [answer.get("MSA-1") for answer in answers]
    assert codes == ["AE", "AE", "AE", "AE", "AE", "AR", "AR", "AE", "AE", "AE", "AR"]
    assert all(answer.get("MSA-3") for answer in answers)
    assert [answer.get("MSA-2") for answer in answers] == [str(3001 + n) for n in range(11)]
    with mllp.db.read() as session:
        rows = session.exec(select(Quarantine)).all()
        assert session.exec(select(Inbox)).all() == []
    assert Counter(row.state for row in rows) == {"unmapped": 10, "aside": 1}, "what is refused is kept, too"
    assert not any("CANARY" in json.dumps(row.reasons) for row in rows)
    assert not any(b"CANARY" in row.body for row in rows)


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        (b"no frame at all" + framed(GOOD), 1),
        (START + b"MSH|cut" + framed(GOOD), 1),
        (START + GOOD + END + b"x" + framed(GOOD), 2),
        (framed(b"") + framed(GOOD), 1),
        (b"\r\n" + framed(GOOD), 0),
        (framed(b"\x00\xff\xfe") + framed(GOOD), 1),
        (START + b"x" * (LARGEST + 10) + END + RETURN + framed(GOOD), 1),
    ],
)
async def test_a_malformed_frame_is_refused_and_the_connection_goes_on(mllp: Mllp, data: bytes, faults: int) -> None:
    client = await mllp.connect()
    await client.write(data)
    codes = [(await client.answer()).get("MSA-1") for _ in range(faults + 1)]
    assert codes == ["AR"] * faults + ["AA"]
    assert (await client.send(GOOD)).get("MSA-1") == "AA"
    await client.close()


async def test_a_half_frame_is_given_up_in_time(mllp: Mllp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FRAME_SECONDS", 0.05)
    client = await mllp.connect()
    await client.write(START + b"MSH|")
    assert (await client.answer()).get("MSA-1") == "AR"
    assert (await client.send(GOOD)).get("MSA-1") == "AA"
    await client.close()


def test_a_whole_frame_over_the_limit_is_refused_however_few_pieces_it_came_in() -> None:
    framer = Framer()
    found = framer.feed(framed(b"MSH" + b"x" * LARGEST) + framed(GOOD))
    assert [(frame.data, bool(frame.fault)) for frame in found] == [(b"", True), (GOOD, False)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([framed(GOOD), b"junk", START, END, RETURN, b"", b"\r\n"]), max_size=8), st.data())
def test_frames_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    framer = Framer()
    found = [frame for piece in pieces for frame in framer.feed(piece)]
    assert [frame.data for frame in found if frame.data] == [f.data for f in Framer().feed(whole) if f.data]


def test_cut_at_any_byte_a_message_is_refused_or_kept_and_changes_nothing(mllp: Mllp) -> None:
    """Up to its last segment, that is: where the frame ends within that one, nothing tells it from one without an end."""
    batch = b"BHS|^~\\&|X\r" + GOOD + b"BTS|1\r"
    for message in (*recorded("story")[:16], recorded("merge")[0], batch):
        for length in range(message.rstrip(b"\r").rindex(b"\r") + 2):
            answer = read(mllp.door.take(message[:length]))
            if answer.get("MSA-1") == "AA":
                assert b"RGS|" in message[:length], "an appointment that ends needs neither place nor service"
                assert message[:length].count(b"\r") >= 3
    with mllp.db.read() as session:
        for table in (Inbox, Encounter, Alias):
            assert session.exec(select(table)).all() == []


async def test_cut_anywhere_on_the_wire_the_connection_goes_on(mllp: Mllp) -> None:
    """The end of the frame comes where it was cut; the next message on the same connection is taken."""
    client = await mllp.connect()
    for number, message in enumerate(recorded("story")[:16]):
        assert (await client.send(message[: len(message) * (number + 1) // 17])).get("MSA-1") in ("AR", "AE")
    assert (await client.send(GOOD)).get("MSA-1") == "AA"
    await client.close()


async def test_a_frame_that_trickles_in_is_given_up_in_time(mllp: Mllp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte comes in time, the whole does not."""
    monkeypatch.setattr(transport, "FRAME_SECONDS", 0.2)
    client = await mllp.connect()

    async def trickle() -> None:
        for byte in framed(GOOD):
            await client.write(bytes([byte]))
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(0.02):
                    await given_up.wait()
                return

    given_up = asyncio.Event()
    trickling = asyncio.create_task(trickle())
    answer = await client.answer()
    given_up.set()
    await trickling
    assert (answer.get("MSA-1"), "in time" in str(answer.get("MSA-3"))) == ("AR", True)
    await client.close()


async def test_one_address_has_its_share_of_connections_and_the_idle_make_room(
    mllp: Mllp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MOST_OF_ONE_ADDRESS", 3)
    first = [await mllp.connect() for _ in range(3)]
    for client in first:
        assert (await client.send(GOOD)).get("MSA-1") == "AA"
    refused = await mllp.connect()
    assert await refused.reader.read() == b""
    monkeypatch.setattr(transport, "MOST_OF_ONE_ADDRESS", 100)
    monkeypatch.setattr(transport, "MOST_CONNECTIONS", 3)
    newcomer = await mllp.connect()
    assert (await newcomer.send(GOOD)).get("MSA-1") == "AA"
    assert await first[0].reader.read() == b"", "the one that was silent longest made room"
    assert (await first[2].send(GOOD)).get("MSA-1") == "AA"
    for client in (*first, refused, newcomer):
        await client.close()


async def test_a_sender_that_reads_no_answers_is_given_up(mllp: Mllp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.1)
    long = framed(GOOD.replace(b"|1001|", b"|" + b"9" * 60_000 + b"|"))
    deaf, other = await mllp.connect(), await mllp.connect()

    async def shout() -> None:
        while True:
            await deaf.write(long)

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            await shout()
    assert (await other.send(GOOD)).get("MSA-1") == "AA"
    await other.close()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: GOOD[:60] + tail))
def test_no_bytes_at_all_break_the_reader(data: bytes) -> None:
    try:
        message = read(data)
    except NotHl7:
        return
    assert isinstance(message.trigger, tuple)
    assert isinstance(message.get("PID-3.1"), str | None)


async def test_the_database_away_is_a_refusal_to_be_sent_again(mllp: Mllp) -> None:
    with as_owner(mllp.db) as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO away")
    client = await mllp.connect()
    answer = await client.send(recorded("story")[2])
    assert (answer.get("MSA-1"), answer.get("ERR-3.1")) == ("AR", "207")
    with as_owner(mllp.db) as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO inbox")
    assert (await client.send(recorded("story")[2])).get("MSA-1") == "AA"
    await client.close()


async def test_a_conflict_is_an_error_and_a_facility_of_others_is_refused(mllp: Mllp, mapping: SiteMapping) -> None:
    assert read(mllp.door.take(GOOD)).get("MSA-1") == "AA"
    other = read(mllp.door.take(GOOD.replace(b"20260302090000", b"20260304090000")))
    assert (other.get("MSA-1"), "content" in str(other.get("MSA-3"))) == ("AE", True)
    feeds = tuple(feed.model_copy(update={"facilities": frozenset({"lakeside"})}) for feed in mapping.feeds)
    mllp.door.mapping = mapping.model_copy(update={"feeds": feeds})
    assert read(mllp.door.take(recorded("story")[4])).get("MSA-1") == "AR"


def test_what_is_refused_for_its_facility_is_kept_and_replayed_once_it_may_be_written(
    mllp: Mllp, mapping: SiteMapping
) -> None:
    feeds = tuple(feed.model_copy(update={"facilities": frozenset({"lakeside"})}) for feed in mapping.feeds)
    strict = mapping.model_copy(update={"feeds": feeds})
    mllp.door.mapping = strict
    assert read(mllp.door.take(GOOD)).get("MSA-1") == "AR"
    with mllp.db.read() as session:
        kept = session.exec(select(Quarantine)).one()
    outcomes = [
        replay(mllp.db, mllp.keys, kept.quarantine_id, e.NOW, "t", reader_of(lambda now=now: now)).disposition
        for now in (strict, mapping)
    ]
    assert outcomes == [Disposition.INVALID, Disposition.ACCEPTED]


async def test_a_kept_message_is_replayed_by_the_mapping_of_today(mllp: Mllp, mapping: SiteMapping) -> None:
    knee = recorded("broken")[0]
    assert read(mllp.door.take(knee)).get("MSA-1") == "AE"
    api = create_gateway(
        db=mllp.db,
        keys=mllp.keys,
        access=Access({digest("t"): Actor("tests")}),
        clock=lambda: e.NOW,
        reader=reader_of(lambda: mllp.door.mapping),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api), base_url="http://gateway", headers={"Authorization": "Bearer t"}
    ) as http:
        entry = (await http.get("/v1/quarantine?state=unmapped")).json()["entries"][0]
        assert entry["type"] == "hl7v2:SIU^S12"
        path = f"/v1/quarantine/{entry['quarantine_id']}/replay"
        assert (await http.post(path)).json()["disposition"] == "invalid"
        known = mapping.appointments[0].model_copy(update={"type": "KNEE"})
        mllp.door.mapping = mapping.model_copy(update={"appointments": (*mapping.appointments, known)})
        replayed = (await http.post(path)).json()
        assert replayed["disposition"] == "accepted"
        assert (await http.post(path)).json()["disposition"] == "duplicate"
    assert read(mllp.door.take(knee)).get("MSA-1") == "AA"


def test_a_discharge_whose_code_the_mapping_lacks_is_kept_and_replayed_once_it_is_listed(
    mllp: Mllp, mapping: SiteMapping
) -> None:
    unlisted = next(m for m in recorded("story") if b"ADT^A03" in m).replace(b"|HOME", b"|LEFT7")
    assert b"LEFT7" in unlisted
    said = next(check(unlisted, mapping))
    assert (said.outcome, said.detail[:9]) == ("quarantined", "PV1-36.1:")
    answer = read(mllp.door.take(unlisted))
    assert answer.get("MSA-1") == "AE"
    assert "mapping file" in str(answer.get("MSA-3"))
    with mllp.db.read() as session:
        kept = session.exec(select(Quarantine)).one()
    assert (kept.state, kept.type) == ("unmapped", "hl7v2:ADT^A03")
    listed = mapping.model_copy(update={"discharge": {**mapping.discharge, "LEFT7": "07"}})
    result = replay(mllp.db, mllp.keys, kept.quarantine_id, e.NOW, "tests", reader_of(lambda: listed))
    assert result.disposition is Disposition.QUARANTINED, "it waits for its encounter"
    with mllp.db.read() as session:
        waiting = session.exec(select(Quarantine).where(Quarantine.state == "waiting")).one()
    assert waiting.type == "cart.admission.ended"


def test_a_merge_the_mapping_could_not_read_is_made_by_its_replay(mllp: Mllp, mapping: SiteMapping) -> None:
    merge = next(m for m in recorded("merge") if b"ADT^A40" in m)
    other = tuple(feed.model_copy(update={"record_number_type": "XX"}) for feed in mapping.feeds)
    mllp.door.mapping = mapping.model_copy(update={"feeds": other})
    assert read(mllp.door.take(merge)).get("MSA-1") == "AE"
    with mllp.db.read() as session:
        kept = session.exec(select(Quarantine)).one()
    again = [
        replay(mllp.db, mllp.keys, kept.quarantine_id, e.NOW, "tests", reader_of(lambda: mapping)) for _ in range(2)
    ]
    assert [one.disposition for one in again] == [Disposition.ACCEPTED, Disposition.DUPLICATE]
    with mllp.db.read() as session:
        assert len(session.exec(select(RecordMerge)).all()) == 1


def test_an_unlisted_type_passes_where_the_site_says_so_and_a_listed_one_elsewhere_is_kept(
    mapping: SiteMapping,
) -> None:
    lenient = mapping.model_copy(update={"unmapped": "ignore"})
    data = b"".join(recorded("broken")[:2])
    assert [finding.outcome for finding in check(data, lenient)] == ["ignored", "quarantined"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('time_zone = "America/New_York"', 'time_zone = "Mars"'), "time_zone"),
        (('order = ["PV1-50.1"]', 'order = ["PV1_50"]'), "order"),
        (('stage = "apheresis"', 'stage = "surgery"'), "stage"),
        (('type = "CARTLD"', 'type = "CARTAPH"'), "repeated entry"),
        (("ignore = true", ""), "DIET"),
        (("unmapped =", "mapped ="), "mapped"),
        (("[[feeds]]", "[[feeds]"), "TOML"),
    ],
)
def test_a_mapping_that_does_not_fit_names_what_is_wrong(change: tuple[str, str], named: str) -> None:
    text = (DEPLOY / "hl7.example.toml").read_text()
    with pytest.raises(MappingError, match=named):
        parse_mapping(text.replace(*change))


def test_times_of_the_site_know_their_clock_changes(mapping: SiteMapping) -> None:
    zone = mapping.feeds[0].zone
    assert moment("202603081000", zone, "x").utcoffset() == moment("202607010000", zone, "x").utcoffset()
    for text in ("20260308023000", "20260302", "2026-03-02", "202613010000", "202603020900+9900"):
        with pytest.raises(NotUsable):
            moment(text, zone, "SCH-11.4")


def test_escapes_and_own_delimiters_are_read() -> None:
    message = read(b'MSH$*~\\&$A$B\rNTE$1$$x\\F\\y\\S\\z\\E\\ \\X41\\*second~rep\rNTE$2$""\r')
    assert message.get("NTE-3.1") == "x$y*z\\ A"
    assert message.get("NTE-3.2") == "second"
    assert message.get("NTE-2") is None


async def test_tls_asks_every_client_for_its_certificate(
    store: tuple[object, Keyring], mapping: SiteMapping, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    door = Hl7Receiver(store[0], store[1], mapping, lambda: e.NOW, lambda: None)  # type: ignore[arg-type]
    context = tls_context(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")
    server = MllpServer(door, "127.0.0.1", 0, context)
    port = await server.start()
    mine = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    mine.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=mine, server_hostname="localhost"))
    assert (await client.send(GOOD)).get("MSA-1") == "AA"
    await client.close()
    mine_is_another = mapping.feeds[0].model_copy(update={"client_certificate": "client"})
    door.mapping = mapping.model_copy(update={"feeds": (mine_is_another, mapping.feeds[1])})
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=mine, server_hostname="localhost"))
    assert (await client.send(GOOD)).get("MSA-1") == "AA"
    other = mapping.feeds[0].model_copy(update={"client_certificate": "scheduling.stmary.example"})
    door.mapping = mapping.model_copy(update={"feeds": (other, mapping.feeds[1])})
    answer = await client.send(GOOD)
    assert (answer.get("MSA-1"), "certificate" in str(answer.get("MSA-3"))) == ("AR", True)
    await client.close()
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await _send_once(port, stranger)
    await server.stop()


async def _send_once(port: int, context: ssl.SSLContext) -> None:
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))
    await client.send(GOOD)
