"""The frames of MLLP: 0B, a message, 1C 0D. Bytes that belong to none are a fault, never an exception."""

from __future__ import annotations

from dataclasses import dataclass

START, END, RETURN = b"\x0b", b"\x1c", b"\x0d"
LARGEST = 256 * 1024
HEAD = 4096
"""Of a message that is not taken, what the answer is made of."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message, or the reason why bytes are none, with the beginning of what came."""

    data: bytes = b""
    fault: str = ""
    begun: bytes = b""


class Framer:
    """Cuts a stream of bytes into frames. Bytes that belong to no frame are a fault, once for each stretch of them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inside = False
        self._skipping = False

    @property
    def half(self) -> bool:
        """True while a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Frame]:
        """The frames and faults that these bytes complete."""
        self._buffer += data
        found: list[Frame] = []
        while (frame := self._next()) is not None:
            if frame.data or frame.fault:
                found.append(frame)
        return found

    def give_up(self, reason: str) -> Frame:
        """Drop a frame that does not end."""
        begun = bytes(self._buffer[:HEAD])
        self._buffer.clear()
        self._inside = False
        return Frame(fault=reason, begun=begun)

    def _next(self) -> Frame | None:
        return self._inside_frame() if self._inside else self._outside_frame()

    def _outside_frame(self) -> Frame | None:
        start = self._buffer.find(START)
        junk = bytes(self._buffer[:start] if start >= 0 else self._buffer)
        del self._buffer[: len(junk) + (start >= 0)]
        self._inside = start >= 0
        meaningless = bool(junk.strip(b"\r\n\x1c\x00 ")) and not self._skipping
        self._skipping = not self._inside and (self._skipping or meaningless)
        if meaningless:
            return Frame(fault="bytes outside of a frame")
        return Frame() if self._inside else None

    def _inside_frame(self) -> Frame | None:
        end, again = self._buffer.find(END), self._buffer.find(START)
        if again >= 0 and (end < 0 or again < end):
            begun = bytes(self._buffer[: min(again, HEAD)])
            del self._buffer[: again + 1]
            return Frame(fault="a frame began before the last one ended", begun=begun)
        if end < 0:
            if len(self._buffer) <= LARGEST:
                return None
            self._skipping = True
            return self.give_up(f"a message has at most {LARGEST} bytes")
        if end + 1 >= len(self._buffer):
            return None
        data, after = bytes(self._buffer[:end]), bytes(self._buffer[end + 1 : end + 2])
        del self._buffer[: end + (2 if after == RETURN else 1)]
        self._inside = False
        if after != RETURN:
            return Frame(fault="a frame ends with 1C 0D", begun=data[:HEAD])
        if len(data) > LARGEST:
            return Frame(fault=f"a message has at most {LARGEST} bytes", begun=data[:HEAD])
        return Frame(data) if data else Frame(fault="an empty frame")
