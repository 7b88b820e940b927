"""What stands around every request: no body beyond the limit is read, and no failure is printed with its values.

Frameworks log what they could not handle with its whole message, which may name a patient; ours goes by its class.
"""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.actors import largest
from app.api.bodies import too_large
from app.api.problems import Refusal, answer

log = structlog.get_logger(__name__)


class Guard:
    """ASGI middleware; see above."""

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
        except Exception as error:  # noqa: BLE001 whatever it is, its message stays here
            log.error("gateway.failed", error=type(error).__name__)
            outcome = Refusal(500, "the gateway failed; its log names the error")
        else:
            return
        if not started:
            await answer(outcome)(scope, receive, send)


class _Counted:
    """Hands the body on until it is too large."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._read = receive, limit, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise too_large(self._limit)
        return message


def _announced(scope: Scope) -> int:
    """The length that the request says it has; 0 where it says none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
