"""HTTP connections of a gateway: how many, and for how long a slow one is waited for.

uvicorn serves HTTP and waits for a half request without end. Here each part of an exchange has its time: headers, body,
and the client's reading of the response. What does not end in time is answered with 408 where that is possible, and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import h11
import structlog
from prometheus_client import Counter as Metric
from uvicorn.protocols.http.h11_impl import H11Protocol

ENDED = Metric(
    "cart_http_connections_ended_total",
    "HTTP connections that the gateway ended or refused at a limit, by reason: all_taken, address, idle_for_another, "
    "headers_late, body_late, response_not_read.",
    ["reason"],
)
OWN_DESCRIPTORS = 200
"""Files and sockets of the process besides the HTTP connections: database, Temporal, HL7, logs."""
RETRY_SECONDS = 5
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        total: connections at once.
        per_address: connections of one address at once; a proxy in front of the gateway is one address.
        header_seconds: from the first byte of a request to the end of its headers, and of a connection to its first byte.
        body_seconds: for a body, in addition to the time at `body_rate`.
        body_rate: bytes per second that a body must keep on average.
        stall_seconds: between two parts of a body.
        response_seconds: for a client to read what was sent.
    """

    total: int = 1000
    per_address: int = 400
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    body_rate: float = 32 * 1024
    stall_seconds: float = 15.0
    response_seconds: float = 30.0


@dataclass(eq=False)
class _Places:
    """The open connections of a process."""

    limits: ConnectionLimits
    taken: Counter[str] = field(default_factory=Counter)
    open: dict[Any, str] = field(default_factory=dict)

    def admit(self, one: Any, address: str) -> str | None:
        """Takes a place; returns the reason if there is none. Idle connections make room, the one idle longest first."""
        if self.taken[address] >= self.limits.per_address:
            return "address"
        if len(self.open) >= self.limits.total and not self._make_room():
            return "all_taken"
        self.open[one] = address
        self.taken[address] += 1
        return None

    def leave(self, one: Any) -> None:
        address = self.open.pop(one, None)
        if address is not None:
            self.taken[address] -= 1
            self.taken += Counter()  # drops addresses without a connection

    def _make_room(self) -> bool:
        idle = min(
            (one for one in self.open if one.idle_since is not None), key=lambda one: one.idle_since, default=None
        )
        if idle is None:
            return False
        self.leave(idle)
        idle.end("idle_for_another")
        return True


class LimitedHttp(H11Protocol):
    """HTTP/1.1 of uvicorn with limits. Use `limited_http`, which gives the connections of a process their places."""

    limits: ConnectionLimits
    places: _Places
    idle_since: float | None = None
    _phase = ""
    _since = 0.0
    _received = 0
    _last = 0.0
    _timer: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        reason = self.places.admit(self, self.client[0] if self.client else "unknown")
        if reason is not None:
            ENDED.labels(reason=reason).inc()
            log.warning("http.connection_refused", reason=reason)
            self._answer(503, "too many connections; try again")
            return
        self._begin("headers")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._reading is not None:
            self._reading.cancel()
        self.places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._phase and self.conn.their_state is h11.IDLE:
            self._begin("headers")
        self._received += len(data)
        self._last = self.loop.time()
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reading is None:
            self._reading = self.loop.call_later(self.limits.response_seconds, self._not_read)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def end(self, reason: str) -> None:
        """Closes the connection; a request under way is cut off."""
        ENDED.labels(reason=reason).inc()
        log.warning("http.connection_ended", reason=reason)
        self._stop()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _follow(self) -> None:
        """Sets the clock to what is awaited now: headers, a body, or nothing."""
        if self.transport.is_closing():
            self._stop()
        elif self.conn.their_state is h11.SEND_BODY:
            self.idle_since = None
            if self._phase != "body":
                self._begin("body")
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            if self._phase != "headers":
                self._begin("headers")
        elif self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete):
            # Without a byte of another request uvicorn's own keep-alive time runs; before the first one ours does.
            self.idle_since = self.idle_since or self.loop.time()
            if self.cycle is not None:
                self._stop()
        else:
            self.idle_since = None
            self._stop()

    def _begin(self, phase: str) -> None:
        self._stop()
        self._phase, self._since, self._last, self._received = phase, self.loop.time(), self.loop.time(), 0
        self._timer = self.loop.call_at(self._deadline(), self._late)

    def _stop(self) -> None:
        self._phase = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deadline(self) -> float:
        if self._phase == "headers":
            return self._since + self.limits.header_seconds
        whole = self._since + self.limits.body_seconds + self._received / self.limits.body_rate
        return min(whole, self._last + self.limits.stall_seconds)

    def _late(self) -> None:
        if self._phase == "body" and self.flow.read_paused:
            self._last = self.loop.time()  # the gateway has not taken what it has
            self._since += self.limits.stall_seconds
        if self._deadline() > self.loop.time():
            self._timer = self.loop.call_at(self._deadline(), self._late)
            return
        reason = f"{self._phase}_late"
        answered = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if (
            not answered
            and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
            and (self._received or self._phase == "body")
        ):
            self._answer(408, "the request did not arrive in time; send it again")
        self.end(reason)

    def _not_read(self) -> None:
        # Closing would wait for the response to be read.
        self.end("response_not_read")
        self.transport.abort()

    def _answer(self, status: int, detail: str) -> None:
        title = "Request timeout" if status == 408 else "Temporarily unavailable"
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"retry-after", str(RETRY_SECONDS).encode()),
        ]
        with contextlib.suppress(h11.LocalProtocolError):
            for event in (
                h11.Response(status_code=status, headers=headers, reason=b""),
                h11.Data(data=body.encode()),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def limited_http(limits: ConnectionLimits) -> type[LimitedHttp]:
    """Returns the protocol of a process, whose connections share these limits and the descriptors it may open."""
    total = max(16, min(limits.total, descriptors() - OWN_DESCRIPTORS))
    shared = _Places(ConnectionLimits(**{**_fields(limits), "total": total}))
    return type("GatewayHttp", (LimitedHttp,), {"limits": shared.limits, "places": shared})


def descriptors() -> int:
    """Raises the number of files this process may open to what the system permits; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < most and sys.platform != "darwin":
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return int(soft)


def _fields(limits: ConnectionLimits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in ConnectionLimits.__slots__}
