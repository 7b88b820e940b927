"""A real browser: sign-in, content policy, a reader's Enter, pages that follow what happens, both schemes, accessibility."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from deploy.browser import opened, program, sign_in
from store.tables import AlertRecord
from tests.app.board.conftest import Board
from tests.kit.recorder import NOW, TOKEN
from tests.kit.sockets import listening

pytestmark = pytest.mark.skipif(
    program() is None and os.environ.get("CI") != "true", reason="no Chromium is installed (CI installs one)"
)

SYMBOL = "]d2010037128721901117271231" + "21BAG-A-1\x1d10LOT-A-1"
STANDARD = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}


@pytest.fixture
def served(board: Board) -> Iterator[str]:
    with listening(board.recorder.api) as url:
        yield url


@pytest.fixture
def page(served: str) -> Iterator[Page]:
    """A signed-in page. The browser is the test's own: Playwright holds the thread's event loop while it runs."""
    with opened() as browser:
        made = browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme="light", base_url=served)
        sign_in(made, served, TOKEN)
        yield made


def pages_of(board: Board) -> list[str]:
    return [
        "/",
        "/closed",
        "/alerts",
        "/work/coordinator",
        "/work/biller",
        "/work/lab",
        "/forms",
        "/forms/custody",
        "/forms/referral",
        f"/encounters/{board.held}/forms/infusion",
        f"/encounters/{board.held}/forms/admission",
        f"/encounters/{board.whole}",
        f"/encounters/{board.held}",
        f"/encounters/{board.whole}/entries",
        f"/encounters/{board.held}/forms/evidence",
        f"/encounters/{board.held}/forms/evidence?kind=ecog",
    ]


def test_signing_in_and_out(board: Board, page: Page) -> None:
    expect(page).to_have_title("Board · CAR-T encounters")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(f"/encounters/{board.whole}")
    assert "/sign-in" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(board: Board, page: Page, scheme: str, tmp_path: Path) -> None:
    """No violation that axe knows, and no page wider than its window, in either scheme."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found: dict[str, object] = {}
    for path in pages_of(board):
        page.set_viewport_size({"width": 1400, "height": 900})
        page.goto(path)
        result = Axe().run(page, options=STANDARD)
        if result.violations_count:
            found[path] = [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in result.response["violations"]]
        for width in (1400, 640, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
    assert found == {}
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(18, 22, 27)") is (scheme == "dark")
    page.screenshot(path=tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size > 8_000


def test_axe_finds_what_it_is_asked_for(page: Page) -> None:
    """The check above can fail."""
    page.evaluate("document.documentElement.removeAttribute('lang')")
    assert [one["id"] for one in Axe().run(page, options=STANDARD).response["violations"]] == ["html-has-lang"]


def test_a_form_with_errors_is_accessible_too(board: Board, page: Page) -> None:
    page.goto(f"/encounters/{board.held}/forms/evidence?kind=ecog")
    page.locator("form.sheet button.main").click()
    expect(page.locator("#errors")).to_be_focused()
    assert Axe().run(page, options=STANDARD).response["violations"] == []


def test_what_is_not_known_is_ticked_on_a_telephone_too(board: Board, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/encounters/{board.held}/forms/custody")
    page.get_by_label("Step").select_option("site_receipt")
    page.locator("form.sheet button.main").click()
    expect(page.locator("#errors")).to_be_focused()
    label = page.locator(".tick label").bounding_box()
    box = page.locator(".tick input").bounding_box()
    assert label
    assert box
    assert label["x"] + label["width"] <= 390
    assert page.evaluate("document.querySelector('.tick label').scrollWidth") <= label["width"] + 1
    assert box["width"] <= 24
    page.get_by_label("The empty fields are not known").check()
    assert Axe().run(page, options=STANDARD).response["violations"] == []


def test_what_is_smuggled_into_a_page_does_not_run(page: Page) -> None:
    page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.smuggled = 1';"
        " document.body.append(s); const i = document.createElement('img'); i.setAttribute('onerror', 'window.smuggled = 1');"
        " i.src = 'x:'; document.body.append(i); })()"
    )
    expect(page.locator("img")).to_have_js_property("complete", True)
    assert page.evaluate("window.smuggled === undefined")


def test_a_reader_leads_through_the_form(board: Board, page: Page) -> None:
    """Scan, Enter, scan, Enter: every identifier lands in its own field, and the form is not sent half-filled."""
    page.goto("/forms/custody")
    expect(page.locator("#f-coi_id")).to_be_focused()
    before = board.events()
    for text, following in (("COI-A", "#f-bag_id"), ("BAG-A-1", "#f-second_verifier")):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        expect(page.locator(following)).to_be_focused()
    assert page.locator("#f-coi_id").input_value() == "COI-A"
    assert board.events() == before
    page.locator("#f-step").select_option("stored")
    page.locator("#f-location").fill("Lab 2")
    page.locator("#f-who").fill("A. Nurse")
    page.locator("#f-why").fill("scan")
    page.locator("form.sheet button.main").click()
    page.wait_for_url(f"**/encounters/{board.whole}?sent=custody")
    assert board.events() == before + 1
    assert board.last_event()["data"]["bag_id"] == "BAG-A-1"


def test_a_symbol_fills_in_its_fields_at_once(page: Page) -> None:
    page.goto("/forms/custody")
    page.keyboard.type("COI-A")
    page.keyboard.press("Enter")
    head, tail = SYMBOL.split("\x1d")
    page.keyboard.type(head)
    page.keyboard.press("Control+]")
    page.keyboard.type(tail)
    page.keyboard.press("Enter")
    expect(page.locator("#f-lot")).to_have_value("LOT-A-1")
    expect(page.locator("#f-bag_id")).to_have_value("BAG-A-1")
    assert page.locator("#f-ndc").input_value().startswith("71287-219-")
    expect(page.locator("#announce")).to_contain_text("fields filled in")


def test_a_symbol_that_says_something_else_is_shown_where_it_differs(page: Page) -> None:
    page.goto("/forms/custody")
    page.locator("#f-lot").fill("LOT-B")
    page.locator("#f-bag_id").fill(SYMBOL.replace("\x1d", "␝"))
    page.locator("#f-bag_id").press("Enter")
    expect(page.locator("#announce")).to_contain_text("scanned value differs")
    expect(page.locator("#f-lot")).to_have_value("LOT-B")
    expect(page.locator("#f-lot")).to_be_focused()


def test_the_page_follows_and_keeps_what_is_open_and_typed(board: Board, page: Page) -> None:
    """A new alert appears without a click and is announced; what was opened stays open, what was typed stays typed."""
    page.goto(f"/encounters/{board.held}")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("html")).to_have_attribute("data-refreshed", re.compile(r"\d"), timeout=20_000)
    page.locator("#d-steps > summary").click()
    note = page.get_by_label("Note").first
    note.fill("asked the manufacturer")
    page.locator("#d-steps > summary").focus()
    with board.db.write() as session:
        session.add(_alert(board.held))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#live")).to_contain_text("A made-up alert", timeout=20_000)
    assert page.locator("#d-steps").evaluate("one => one.open")
    expect(page.locator("#announce")).to_contain_text("unresolved alerts")
    assert "asked the manufacturer" in [one.input_value() for one in page.get_by_label("Note").all()]


def test_the_keyboard_reaches_the_content(page: Page) -> None:
    """The first stop of the Tab key is the link that skips the head of the page."""
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**/#main")


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
