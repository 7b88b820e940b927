"""The Chromium of this machine under Playwright: for pictures of the pages and for tests of what a browser does.

Playwright brings no browser of its own here: the installed one is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars"]


class NoBrowser(RuntimeError):
    """No Chromium is installed on this machine."""


def program() -> str | None:
    """Where a Chromium is installed, if one is."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def opened() -> Iterator[Browser]:
    """A headless browser.

    Raises:
        NoBrowser: none is installed.
    """
    found = program()
    if found is None:
        raise NoBrowser("no Chromium is installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: Page, board: str, token: str) -> None:
    """Open a session on the board by its own form."""
    page.goto(f"{board}/sign-in")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{board}/")
