"""Alert escalation: one message per change, destination and cause; retried, then a dead letter, never sent twice."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import AnyHttpUrl
from sqlmodel import select

from activities.alerting import deliver as delivery
from activities.alerting.deliver import LONGEST_PAUSE, deliver
from activities.alerting.destinations import (
    EXPIRES_AFTER,
    REPEAT_EVERY,
    Destination,
    Destinations,
    DestinationsError,
    read_destinations,
)
from activities.alerting.escalate import work
from app.api.webhooks import Webhook
from store.alerts import escalate
from store.engine import Database
from store.tables import AlertDelivery, AlertRecord
from tests.kit.databases import migrated_database
from tests.kit.files import DEPLOY
from tests.kit.rows import alert_row

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGAIN = timedelta(hours=4)
SECRET = bytes(range(32))


class Receiver:
    """A real HTTP server with prepared answers that keeps what it received."""

    def __init__(self) -> None:
        self.status = 200
        self.fails_at = b"(nothing)"
        self.drips = False
        self.got: list[tuple[str, Mapping[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                self.send_response(500 if outer.fails_at in body else outer.status)
                self.end_headers()
                while outer.drips:
                    self.wfile.write(b".")
                    self.wfile.flush()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = migrated_database(tmp_path / "desk.db")
    yield made
    made.close()


def webhook(url: str, **changes: Any) -> Destination:
    return Destination(**{"name": "pager", "kind": "webhook", "url": AnyHttpUrl(url), "secret": SECRET} | changes)


def only(*destinations: Destination) -> Destinations:
    return Destinations(board=AnyHttpUrl("https://board.example"), destinations=destinations)


def alert(alert_id: str, **changes: Any) -> AlertRecord:
    return alert_row(alert_id, now=NOW, **{"acknowledged_note": b"sealed", **changes})


def put(db: Database, *alerts: AlertRecord) -> None:
    with db.write() as session:
        for each in alerts:
            session.add(each)


def change(db: Database, alert_id: str, **changes: Any) -> None:
    with db.write() as session:
        row = session.get_one(AlertRecord, alert_id)
        for name, value in changes.items():
            setattr(row, name, value)
        session.add(row)


def look(db: Database, where: Destinations, now: datetime = NOW) -> Any:
    with db.write() as session:
        return work(session, where, now, AGAIN)


def messages(db: Database) -> list[AlertDelivery]:
    with db.read() as session:
        return list(session.exec(select(AlertDelivery).order_by(AlertDelivery.created_at)))  # type: ignore[arg-type]


def test_each_change_of_an_alert_is_reported_exactly_once(db: Database, receiver: Receiver) -> None:
    where = only(webhook(f"{receiver.url}/hook"))
    put(db, alert("alr_1"))
    steps = [
        ({}, NOW),
        ({}, NOW + timedelta(hours=4)),
        ({"state": "acknowledged"}, NOW + timedelta(hours=5)),
        ({"severity": "critical"}, NOW + timedelta(hours=6)),
        ({"state": "resolved", "resolved_at": NOW + timedelta(hours=7)}, NOW + timedelta(hours=7)),
    ]
    for changes, now in steps:
        change(db, "alr_1", **changes)
        for _ in range(2):
            look(db, where, now)
            deliver(db, where, now)
    sent = [(body["change"], body["alerts"][0]["state"]) for body in receiver.bodies]
    assert sent == [
        ("opened", "open"),
        ("escalated", "open"),
        ("acknowledged", "acknowledged"),
        ("worsened", "acknowledged"),
        ("resolved", "resolved"),
    ]


def test_a_message_is_signed_and_states_what_to_do_without_identity(db: Database, receiver: Receiver) -> None:
    where = only(webhook(f"{receiver.url}/hook", bearer="abc"))
    put(db, alert("alr_1"))
    look(db, where)
    assert deliver(db, where, NOW) == 1
    ((path, headers, body),) = receiver.got
    assert path == "/hook"
    lower = {name.lower(): value for name, value in headers.items()}
    assert Webhook((SECRET,)).signed(lower, body)
    assert not Webhook((bytes(32),)).signed(lower, body)
    assert lower["authorization"] == "Bearer abc"
    said = json.loads(body)["alerts"][0]
    assert (said["title"], said["action"], said["owner"]) == ("A document is missing", "File it.", "coordinator")
    assert not {"acknowledged_note", "told_state", "key"} & said.keys()


def test_alerts_of_one_cause_are_one_message(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url))
    put(db, *(alert(f"alr_{n}", layer="fact", kind="certification_missing") for n in range(3)), alert("alr_9"))
    look(db, where)
    deliver(db, where, NOW)
    sent = {body["cause"]: len(body["alerts"]) for body in receiver.bodies}
    assert sent == {"certificate.fact": 3, "evidence_missing": 1}


def test_a_destination_receives_only_its_severities_and_owners(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url, severities=frozenset({"critical"}), owners=frozenset({"cell_lab"})))
    put(db, alert("a"), alert("b", severity="critical"), alert("c", severity="critical", owner="cell_lab"))
    look(db, where)
    deliver(db, where, NOW)
    assert [one["alert_id"] for body in receiver.bodies for one in body["alerts"]] == ["c"]


def test_an_alert_resolved_before_its_first_report_is_not_reported(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url))
    put(db, alert("a", state="resolved", resolved_at=NOW))
    assert look(db, where).queued == 0


def test_a_message_is_tried_again_with_growing_pauses_then_given_up(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url, give_up_hours=1))
    put(db, alert("alr_1"))
    receiver.status = 503
    now, pauses = NOW, []
    look(db, where)
    while (row := messages(db)[0]).state == "waiting":
        deliver(db, where, now)
        row = messages(db)[0]
        pauses.append(row.next_attempt_at - now)
        assert deliver(db, where, row.next_attempt_at - timedelta(seconds=1)) == 0
        now = max(row.next_attempt_at, now + timedelta(seconds=1))
    assert pauses[:3] == [timedelta(seconds=15), timedelta(seconds=30), timedelta(seconds=60)]
    assert max(pauses) <= LONGEST_PAUSE
    assert (row.state, row.last_error, row.attempts) == ("dead", "answered 503", len(receiver.got))
    assert now - NOW >= timedelta(hours=1)
    assert look(db, where, now).dead == 1


def test_a_refusal_for_good_is_a_dead_letter_at_once_and_holds_up_nothing(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url))
    put(db, alert("a", layer="fact"), alert("b"))
    receiver.status = 422
    look(db, where)
    deliver(db, where, NOW)
    assert [(row.state, row.attempts) for row in messages(db)] == [("dead", 1), ("dead", 1)]


def test_a_destination_that_is_away_delays_its_own_messages_only(db: Database, receiver: Receiver) -> None:
    away = webhook("http://127.0.0.1:9", name="away")
    where = only(away, webhook(receiver.url))
    put(db, alert("a", layer="fact"), alert("b"))
    look(db, where)
    assert deliver(db, where, NOW) == 2
    waiting = [row for row in messages(db) if row.destination == "away"]
    assert sorted(row.attempts for row in waiting) == [0, 1]
    assert {row.next_attempt_at for row in waiting} == {NOW + timedelta(seconds=15)}
    assert {row.last_error for row in waiting} == {"no answer: ConnectError"}


def test_a_message_that_its_destination_fails_at_holds_up_no_other(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url))
    receiver.fails_at = b"bad"
    put(db, alert("a", title="bad", opened_at=NOW - timedelta(hours=1)), alert("b", layer="fact"))
    look(db, where)
    deliver(db, where, NOW)
    put(db, alert("c", layer="product"))
    later = NOW + LONGEST_PAUSE
    look(db, where, later)
    deliver(db, where, later)
    states = {tuple(row.alert_ids): row.state for row in messages(db)}
    assert states == {("a",): "waiting", ("b",): "delivered", ("c",): "delivered"}


def test_an_answer_without_an_end_is_not_waited_for(db: Database, receiver: Receiver) -> None:
    receiver.drips = True
    put(db, alert("a"))
    look(db, only(webhook(receiver.url)))
    deliver(db, only(webhook(receiver.url)), NOW)
    assert [row.state for row in messages(db)] == ["delivered"]


class Silent:
    """Takes every connection and sends one byte of an answer's head after another, without end."""

    def __init__(self, pause: float) -> None:
        self.closed = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pause = pause
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            talk, _ = self.listener.accept()
            talk.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not self.closed.wait(self.pause):
                talk.sendall(b"a")


def test_a_try_ends_though_its_answer_drips(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.4)
    silent = Silent(0.05)
    put(db, alert("a"))
    look(db, only(webhook(silent.url)))
    deliver(db, only(webhook(silent.url)), NOW)
    silent.closed.set()
    silent.listener.close()
    assert [(row.state, row.last_error) for row in messages(db)] == [("waiting", "no answer: TimeoutError")]


def test_a_message_to_a_destination_that_is_gone_is_dead(db: Database) -> None:
    put(db, alert("a"))
    look(db, only(webhook("http://127.0.0.1:9")))
    assert look(db, only()).dead == 1


def test_the_escalation_runs_again_at_the_first_deadline(db: Database) -> None:
    put(db, alert("a", acknowledge_by=NOW + timedelta(hours=2)), alert("b", acknowledge_by=NOW + timedelta(hours=9)))
    report = look(db, only())
    assert (report.due, report.due_title) == (NOW + timedelta(hours=2), "the next escalation")
    assert look(db, only(), report.due).escalated == 1
    assert look(db, only(), report.due).escalated == 0
    with db.write() as session:
        assert escalate(session, report.due + AGAIN, AGAIN) == 1


def test_alertmanager_receives_open_alerts_repeatedly_and_resolved_ones_once(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url, kind="alertmanager", secret=None, name="am"))
    put(db, alert("a", severity="critical"))
    look(db, where)
    deliver(db, where, NOW)
    later = NOW + REPEAT_EVERY
    assert look(db, where, later - timedelta(seconds=1)).due == later
    look(db, where, later)
    deliver(db, where, later)
    change(db, "a", state="resolved", resolved_at=later)
    look(db, where, later)
    deliver(db, where, later)
    assert {path for path, _, _ in receiver.got} == {"/api/v2/alerts"}
    sent = [body[0] for body in receiver.bodies]
    assert len({json.dumps(each["labels"]) for each in sent}) == 1
    assert sent[0]["labels"]["severity"] == "page"
    ends = [datetime.fromisoformat(each["endsAt"]) for each in sent]
    assert (ends[0], ends[-1]) == (NOW + EXPIRES_AFTER, later)
    assert later + EXPIRES_AFTER in ends
    assert len([row for row in messages(db) if row.change == "standing"]) == 1


def test_a_clock_that_was_hours_ahead_and_is_set_back_delays_no_message(db: Database, receiver: Receiver) -> None:
    where = only(webhook(receiver.url, kind="alertmanager", secret=None, name="am"))
    ahead = NOW + timedelta(hours=5)
    receiver.status = 503
    put(db, alert("a", severity="critical"))
    look(db, where, ahead)
    deliver(db, where, ahead)
    receiver.status = 200
    assert look(db, where, NOW).waiting
    deliver(db, where, NOW)
    assert {row.state for row in messages(db)} == {"delivered"}
    queued = len(receiver.got)
    look(db, where, NOW + REPEAT_EVERY)
    deliver(db, where, NOW + REPEAT_EVERY)
    assert len(receiver.got) > queued, "every unresolved alert is repeated in time"


FILE = """
board = "https://board.example"
[[destinations]]
name = "pager"
kind = "webhook"
url = "https://pager.example/hook"
secret_file = "pager.secret"
"""


def test_a_file_names_its_secrets_and_the_error_names_the_problem(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(FILE)
    with pytest.raises(DestinationsError, match=r"secret_file .*pager\.secret: No such file"):
        read_destinations(path)
    (tmp_path / "pager.secret").write_text("short")
    with pytest.raises(DestinationsError, match="secret_file"):
        read_destinations(path)
    (tmp_path / "pager.secret").write_text("whsec_" + "QUJD" * 10)
    (found,) = read_destinations(path).destinations
    assert found.secret == b"ABC" * 10
    assert "ABC" not in repr(found)
    path.write_text(FILE.replace('kind = "webhook"', 'kind = "pigeon"'))
    with pytest.raises(DestinationsError, match=r"destinations\.0\.kind"):
        read_destinations(path)
    path.write_text(FILE + FILE.partition("\n\n")[0].replace('board = "https://board.example"', ""))
    with pytest.raises(DestinationsError, match="same name"):
        read_destinations(path)
    path.write_text(FILE.replace('secret_file = "pager.secret"', ""))
    with pytest.raises(DestinationsError, match="needs secret_file"):
        read_destinations(path)
    path.write_text(FILE.replace("secret_file", "secret"))
    with pytest.raises(DestinationsError, match="file of its own"):
        read_destinations(path)


def test_the_example_can_be_read() -> None:
    example = DEPLOY / "alerts.example.toml"
    assert [each.kind for each in read_destinations(example).destinations] == ["alertmanager"]
