"""Middleware of every request: limits the body size and logs failures by class only.

Frameworks log unhandled errors with their whole message, which may contain patient data.
"""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.actors import largest
from app.api.bodies import too_large
from app.api.problems import Refusal, answer

log = structlog.get_logger(__name__)


class Guard:
    """ASGI middleware for body limits and safe failure logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = largest(scope["path"])
        counted, started = _Counted(receive, limit), False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if _announced(scope) > limit:
                raise too_large(limit)
            await self._app(scope, counted, noted)
        except Refusal as refusal:
            outcome = refusal
        except Exception as error:  # noqa: BLE001 no message of any error may leave the process
            log.error("gateway.failed", error=type(error).__name__)
            outcome = Refusal(500, "the gateway failed; see its log")
        else:
            return
        if not started:
            await answer(outcome)(scope, receive, send)


class _Counted:
    """Passes the body on up to the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._read = receive, limit, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise too_large(self._limit)
        return message


def _announced(scope: Scope) -> int:
    """Returns the content length of the request; 0 if it has none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
