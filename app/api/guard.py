"""Middleware of every request: limits the body size and the memory of all bodies, and logs failures by class only.

Frameworks log unhandled errors with their whole message, which may contain patient data.
"""

from __future__ import annotations

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.actors import largest
from app.api.bodies import too_large
from app.api.problems import RETRY_SECONDS, Refusal, answer

ALL_BODIES = 128 * 1024 * 1024
"""Bytes of the bodies of all requests at once. What comes on top is refused for now; senders try again."""

log = structlog.get_logger(__name__)


class Guard:
    """ASGI middleware for body limits and safe failure logs."""

    def __init__(self, app: ASGIApp, all_bodies: int = ALL_BODIES) -> None:
        self._app, self._room = app, _Room(all_bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = largest(scope["path"])
        counted, started = _Counted(receive, limit, self._room), False

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
        except ClientDisconnect:
            log.info("gateway.client_left")
            return
        except Exception as error:  # noqa: BLE001 no message of any error may leave the process
            log.error("gateway.failed", error=type(error).__name__)
            outcome = Refusal(500, "the gateway failed; see its log")
        else:
            return
        finally:
            counted.end()
        if not started:
            await answer(outcome)(scope, receive, send)


class _Room:
    """Bytes that the bodies of all requests may still take."""

    def __init__(self, free: int) -> None:
        self.free = free


class _Counted:
    """Passes the body on up to the limit, and while there is room for it."""

    def __init__(self, receive: Receive, limit: int, room: _Room) -> None:
        self._receive, self._limit, self._room, self._read = receive, limit, room, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self._read += size
        self._room.free -= size
        if self._read > self._limit:
            raise too_large(self._limit)
        if self._room.free < 0:
            detail = "the gateway is receiving too much at once; nothing was stored, send the request again"
            raise Refusal(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})
        return message

    def end(self) -> None:
        """The request is over: its body takes no room any more."""
        self._room.free += self._read
        self._read = 0


def _announced(scope: Scope) -> int:
    """Returns the content length of the request; 0 if it has none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
