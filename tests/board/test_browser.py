"""A real browser: sign-in, content policy, a scanner's Enter, pages that follow what happens, both schemes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from activities.store.tables import AlertRecord
from deploy.chromium import Chromium, program
from tests.board.conftest import Board
from tests.contract.recording import NOW, TOKEN

pytestmark = pytest.mark.skipif(
    program() is None and os.environ.get("CI") != "true", reason="no Chromium is installed (CI installs one)"
)


@pytest.fixture
def served(board: Board) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(board.recorder.api, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def browser(served: str) -> Iterator[Chromium]:
    with Chromium(1400, 1000) as opened:
        opened.sign_in(served, TOKEN)
        yield opened


def test_a_shift_at_the_board(board: Board, served: str, browser: Chromium, tmp_path: Path) -> None:
    assert browser.evaluate("document.title").startswith("Board")
    assert browser.evaluate("document.cookie") == ""
    _the_policy_holds(browser)
    _pages_fit(board, served, browser, tmp_path)
    _a_scanner_leads_through_the_form(board, served, browser)
    _the_page_follows(board, served, browser)
    _the_keyboard_reaches_the_content(served, browser)
    browser.leave("document.querySelector('form[action=\"/sign-out\"] button').click()")
    assert browser.evaluate("location.pathname") == "/sign-in"
    browser.open(f"{served}/encounters/{board.whole}")
    assert browser.evaluate("location.pathname") == "/sign-in"


def _the_policy_holds(browser: Chromium) -> None:
    """What is smuggled into a page does not run."""
    browser.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.smuggled = 1';"
        " document.body.append(s); const i = document.createElement('img'); i.setAttribute('onerror', 'window.smuggled = 1');"
        " i.src = 'x:'; document.body.append(i); })()"
    )
    browser.wait("document.querySelector('img').complete")
    assert browser.evaluate("window.smuggled === undefined")


def _pages_fit(board: Board, served: str, browser: Chromium, tmp_path: Path) -> None:
    """No page is wider than its window, in either scheme; each picture has something on it."""
    for dark in (False, True):
        for width in (1400, 640):
            browser.resize(width, 900, dark=dark)
            for path in ("/", f"/encounters/{board.whole}", f"/encounters/{board.held}", "/work/lab", "/forms/custody"):
                browser.open(served + path)
                over = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert over <= 0, (path, width)
                browser.picture(tmp_path / "seen.png")
                assert (tmp_path / "seen.png").stat().st_size > 8_000
        ground = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (ground == "rgb(18, 22, 27)") is dark
    browser.resize(1400, 1000)


def _a_scanner_leads_through_the_form(board: Board, served: str, browser: Chromium) -> None:
    """Scan, Enter, scan, Enter: every identifier lands in its own field, and the form is not sent half-filled."""
    browser.open(f"{served}/forms/custody")
    browser.wait("document.activeElement.id === 'f-coi_id'")
    before = board.events()
    for text, following in (("COI-A", "f-bag_id"), ("BAG-A-1", "f-at")):
        browser.type(text)
        browser.press("Enter", 13)
        browser.wait(f"document.activeElement.id === '{following}'")
    assert browser.evaluate("document.getElementById('f-coi_id').value") == "COI-A"
    assert board.events() == before
    browser.evaluate(
        "document.getElementById('f-step').value = 'stored';"
        "document.getElementById('f-location').value = 'Lab 2';"
        "document.getElementById('f-who').value = 'A. Nurse'; document.getElementById('f-why').value = 'scan'"
    )
    browser.leave("document.querySelector('form.sheet button.main').click()")
    assert browser.evaluate("location.pathname") == f"/encounters/{board.whole}"
    assert board.events() == before + 1
    assert board.last_event()["data"]["bag_id"] == "BAG-A-1"


def _the_page_follows(board: Board, served: str, browser: Chromium) -> None:
    """A new alert appears without a click and is announced; what was opened stays open, the focus stays."""
    browser.open(f"{served}/encounters/{board.whole}")
    browser.wait("Number(document.documentElement.dataset.refreshed ?? 0) > 0", 20)
    browser.evaluate(
        "document.getElementById('d-steps').open = true; document.querySelector('#d-steps summary').focus()"
    )
    with board.db.write() as session:
        session.add(_alert(board.whole))
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait("document.getElementById('live').textContent.includes('A made-up alert')", 20)
    assert browser.evaluate("document.getElementById('d-steps').open")
    assert "alerts open" in browser.evaluate("document.getElementById('announce').textContent")


def _the_keyboard_reaches_the_content(served: str, browser: Chromium) -> None:
    """The first stop of the Tab key is the link that skips the head of the page."""
    browser.open(f"{served}/")
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.press("Enter", 13)
    browser.wait("location.hash === '#main'")


def _alert(encounter: str) -> AlertRecord:
    return AlertRecord(
        alert_id="alr_browser",
        encounter_id=encounter,
        key="browser",
        kind="made_up",
        severity="warning",
        owner="coordinator",
        title="A made-up alert",
        action="Nothing.",
        citation="G1",
        rule="r",
        since=NOW,
        opened_at=NOW,
        acknowledge_by=NOW,
    )
