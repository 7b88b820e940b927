"""Chromium of this machine under Playwright, for screenshots and browser tests.

Playwright installs no browser here: the installed one is used.
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
    """Return the path of the installed Chromium, if any."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def opened() -> Iterator[Browser]:
    """Yield a headless browser.

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
    """Sign in to the board with its form."""
    page.goto(f"{board}/sign-in")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{board}/")
