"""The command line's way to a gateway: address and token from the data directory, errors as one line."""

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
    """The gateway refused or could not be reached; the message says why in one line."""


@dataclass(frozen=True)
class Api:
    """A gateway and the token for it."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, body)

    def file(self, path: str, kind: str) -> tuple[bytes, str]:
        """A file in a media type, and the name the gateway gives it."""
        answer = self._answer("GET", path, None, kind)
        named = FILE_NAME.search(answer.headers.get("content-disposition", ""))
        return answer.content, named[1] if named else "answer"

    def post_file(self, path: str, content: bytes, media_type: str) -> Any:
        """Send a file as it is."""
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
                f"no gateway answers at {self.url}: {type(error).__name__}; start `up` or `gateway`, or name another with "
                "--url or CART_URL"
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
    """A gateway: that of the stack that runs on a data directory, or the one at an address with a token of its own.

    The token is in the data directory or in the file that `CART_TOKEN_FILE` names.

    Raises:
        ApiError: no stack has written its address there, or there is no token.
    """
    named = os.environ.get("CART_TOKEN_FILE")
    try:
        where = url or json.loads((data_dir / RUN_FILE).read_text())["http"]
    except (OSError, ValueError, KeyError):
        raise ApiError(
            f"no stack runs on {data_dir}; start one with `cart-encounter up --data-dir {data_dir}`, or name a gateway "
            "(--url or CART_URL) and the file of your token (CART_TOKEN_FILE)"
        ) from None
    try:
        token = Path(named or data_dir / "token").read_text().strip()
    except OSError as error:
        raise ApiError(f"token file {error.filename}: {error.strerror}; name it in CART_TOKEN_FILE") from None
    return Api(where.rstrip("/"), token)
