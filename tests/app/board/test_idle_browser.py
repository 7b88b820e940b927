"""Idle logoff in a real browser: the page is covered, nothing of it can be read, what was typed is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from deploy.browser import opened, program, sign_in
from tests.app.board.conftest import Board
from tests.kit.recorder import TOKEN
from tests.kit.sockets import listening

pytestmark = pytest.mark.skipif(
    program() is None and os.environ.get("CI") != "true", reason="no Chromium is installed (CI installs one)"
)
IDLE = timedelta(seconds=4)


@pytest.fixture
def page(board: Board) -> Iterator[Page]:
    """A signed-in page of a gateway with a short idle time."""
    api = board.recorder.api
    kept = api.state.parts
    api.state.parts = replace(kept, idle=IDLE, clock=lambda: datetime.now(UTC))
    with listening(api) as url, opened() as browser:
        made = browser.new_page(viewport={"width": 1400, "height": 1000}, base_url=url)
        sign_in(made, url, TOKEN)
        yield made
    api.state.parts = kept


def test_a_page_without_activity_is_covered_and_leads_back_after_the_sign_in(board: Board, page: Page) -> None:
    page.goto(f"/encounters/{board.whole}")
    expect(page.locator("main")).to_be_visible()
    cover = page.locator(".cover")
    expect(cover).to_be_visible(timeout=15_000)
    expect(cover).to_be_focused()
    expect(page.locator("main")).to_be_hidden()
    assert board.whole not in page.inner_text("body")
    assert board.whole not in page.title()
    assert Axe().run(page, options={"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}}).violations_count == 0
    cover.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("You were signed out")).to_be_visible()
    page.get_by_label("Your token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/encounters/{board.whole}")
    expect(page.locator("main")).to_be_visible()


def test_activity_keeps_session_and_page_and_then_what_was_typed_survives(board: Board, page: Page) -> None:
    page.goto(f"/encounters/{board.held}/forms/custody")
    before, started = board.events(), page.evaluate("Date.now()")
    lot = page.locator("#f-lot")
    typed = ""
    while page.evaluate("Date.now()") - started < 2 * IDLE.total_seconds() * 1000:
        lot.press("L")
        typed += "L"
        page.wait_for_function("past => Date.now() > past", arg=page.evaluate("Date.now()") + 400)
    expect(page.locator(".cover")).to_have_count(0)
    assert page.evaluate("fetch('/?part=live').then(answer => answer.status)") == 200
    cover = page.locator(".cover")
    expect(cover).to_be_visible(timeout=15_000)
    assert typed not in page.inner_text("body")
    assert lot.input_value() == typed
    cover.get_by_role("link", name="Sign in").click()
    page.get_by_label("Your token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Continue to the form").click()
    expect(lot).to_have_value(typed)
    assert board.events() == before
