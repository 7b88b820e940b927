"""A headless Chromium driven over its debugging pipe: for pictures of the pages and for tests of what a browser does.

Nothing is installed and no port is opened: messages of the DevTools protocol go through two inherited file descriptors.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30.0
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class BrowserFailed(RuntimeError):
    """The browser refused, or what was waited for did not come."""


def program() -> str | None:
    """Where a Chromium is installed, if one is."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """One page of one browser with a fresh profile, as a context manager."""

    def __init__(self, width: int = 1600, height: int = 1200) -> None:
        self.width, self.height = width, height
        self._number = 0
        self._buffer = b""
        self._session = ""

    def __enter__(self) -> Chromium:
        found = program()
        if found is None:
            raise BrowserFailed("no Chromium is installed")
        self._profile = tempfile.TemporaryDirectory(prefix="cart-chromium-", ignore_cleanup_errors=True)
        read_by_browser, self._write = os.pipe()
        self._read, written_by_browser = os.pipe()
        arguments = [*QUIET, f"--user-data-dir={self._profile.name}", f"--window-size={self.width},{self.height}"]
        # The protocol is spoken on descriptors 3 and 4; a shell puts ours there.
        wiring = f'exec 8<&{read_by_browser} 9>&{written_by_browser} && exec "$0" "$@" 3<&8 4>&9'
        self._process = subprocess.Popen(  # noqa: S603 - a program found on this machine, our own arguments
            ["/bin/bash", "-c", wiring, found, *arguments, "about:blank"],
            pass_fds=(read_by_browser, written_by_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_browser)
        os.close(written_by_browser)
        os.set_blocking(self._read, False)
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.resize(self.width, self.height)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, to the page."""
        return self._call(method, parameters)

    def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error'].get('message')}")
                return dict(answer.get("result", {}))

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if time.monotonic() > deadline:
                raise BrowserFailed("the browser does not answer")
            try:
                read = os.read(self._read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            if not read:
                raise BrowserFailed(f"the browser ended with code {self._process.poll()}")
            self._buffer += read
        one, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(one))

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """The size of the window and the colour scheme its user prefers."""
        self.width, self.height = width, height
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.evaluate("window.__left = true")
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserFailed(f"{url}: {answer['errorText']}")
        self.loaded()

    def loaded(self) -> None:
        """Wait until another page than the one `leaving` marked is there."""
        self.wait("!window.__left && document.readyState === 'complete'")

    def leave(self, script: str) -> None:
        """Do what leads to another page, and wait for it."""
        self.evaluate(f"window.__left = true; {script}")
        self.loaded()

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(
                str(answer["exceptionDetails"].get("exception", {}).get("description", "error in page"))
            )
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression is true; while a page changes it may not be evaluated at all."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.evaluate(f"Boolean({condition})"):
                    return
            except BrowserFailed:
                pass
            time.sleep(0.05)
        raise BrowserFailed(f"waited in vain for: {condition}")

    def settle(self, quiet: float = 2.0, at_most: float = 8.0) -> None:
        """Wait until a page that another program builds piece by piece has not changed for a while.

        Some count seconds and never rest: those are taken as they are in the end.
        """
        self.evaluate(
            "window.__changed = performance.now(); new MutationObserver(() => { window.__changed = performance.now(); })"
            ".observe(document.body, { childList: true, subtree: true, characterData: true }); true"
        )
        with contextlib.suppress(BrowserFailed):
            self.wait(f"performance.now() - window.__changed > {quiet * 1000}", at_most)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press a key: its name and Windows key code (Enter 13, Tab 9)."""
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        if key == "Enter":
            about["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def sign_in(self, board: str, token: str) -> None:
        """Open a session on the board by its own form."""
        self.open(f"{board}/sign-in")
        self.evaluate("document.getElementById('token').focus()")
        self.type(token)
        self.leave("document.querySelector('form.sheet button').click()")

    def picture(self, path: Path, height: int | None = None) -> None:
        """Write what is seen as a PNG; with a height, that much of the page."""
        if height:
            self.resize_height(height)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def resize_height(self, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=self.width, height=height, deviceScaleFactor=1, mobile=False
        )
