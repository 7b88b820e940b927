"""Gateway client of the command line: address and token from the data directory, errors as one line."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.settings import RUN_FILE

FILE_NAME = re.compile(r'filename="([A-Za-z0-9._-]+)"')


class ApiError(RuntimeError):
    """The gateway refused or cannot be reached; the message is one line with the reason."""


@dataclass(frozen=True)
class Api:
    """A gateway with its token."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, body)

    def file(self, path: str, kind: str) -> tuple[bytes, str]:
        """Returns a file in a media type and the file name from the gateway."""
        answer = self._answer("GET", path, None, kind)
        named = FILE_NAME.search(answer.headers.get("content-disposition", ""))
        return answer.content, named[1] if named else "answer"

    def post_file(self, path: str, content: bytes, media_type: str) -> Any:
        """Sends a file unchanged."""
        return self._answer("POST", path, None, "application/json", content, media_type).json()

    def _call(self, method: str, path: str, body: object) -> Any:
        return self._answer(method, path, body, "application/json").json()

    def _answer(
        self, method: str, path: str, body: object, kind: str, content: bytes | None = None, media_type: str = ""
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": kind}
        headers |= {"Content-Type": media_type} if media_type else {}
        try:
            answer = httpx.request(method, self.url + path, json=body, content=content, headers=headers, timeout=60)
        except httpx.HTTPError as error:
            raise ApiError(
                f"no gateway responds at {self.url}: {type(error).__name__}; start one with `cart-encounter up`, or set another "
                "address with --url or CART_URL"
            ) from None
        if answer.status_code >= 400:
            raise ApiError(f"{method} {path}: {answer.status_code} {_detail(answer)}")
        return answer


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    problems = "; ".join(f"{p['path']}: {p['message']}" for p in body.get("problems", ()))
    return problems or str(body.get("detail") or body.get("title") or body)[:500]


def api_from(data_dir: Path, url: str | None) -> Api:
    """Returns the gateway at an address, or of the stack running on a data directory.

    The token is read from the data directory or from the file of `CART_TOKEN_FILE`.

    Raises:
        ApiError: there is no running stack or no token.
    """
    named = os.environ.get("CART_TOKEN_FILE")
    try:
        where = url or json.loads((data_dir / RUN_FILE).read_text())["http"]
    except (OSError, ValueError, KeyError):
        raise ApiError(
            f"no stack is running on {data_dir}; start one with `cart-encounter up --data-dir {data_dir}`, or set a gateway "
            "(--url or CART_URL) and your token file (CART_TOKEN_FILE)"
        ) from None
    try:
        token = Path(named or data_dir / "token").read_text().strip()
    except OSError as error:
        raise ApiError(f"token file {error.filename}: {error.strerror}; set its path in CART_TOKEN_FILE") from None
    return Api(where.rstrip("/"), token)
