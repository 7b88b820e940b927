"""The user behind a connection from this machine, as the kernel lists it (Linux)."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED = "01"
Address = tuple[str, int]


def of_this_user(client: Address | None, server: Address | None) -> bool:
    """Returns True if a process of this user holds the other end of a connection.

    False for a connection from elsewhere, or if the other end is closed. Where the kernel has no such list, on other systems
    than Linux, every connection counts as this user's.

    Args:
        client: address and port of the other end.
        server: address and port of this end.
    """
    if not sys.platform.startswith("linux"):
        return True
    if client is None or server is None:
        return False
    return user_of(client, server) == os.geteuid()


def user_of(client: Address, server: Address) -> int | None:
    """Returns the user id of the process that opened the connection; None if it is not of this machine, or closed."""
    wanted = (_parsed(client), _parsed(server))
    for table in TABLES:
        for line in _lines(table):
            local, remote, state, user = (line[column] for column in (1, 2, 3, 7))
            # A closed connection is listed with user 0 until the kernel forgets it.
            if state == ESTABLISHED and (_listed(local), _listed(remote)) == wanted:
                return int(user)
    return None


def _lines(table: Path) -> list[list[str]]:
    try:
        return [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []


def _parsed(address: Address) -> tuple[bytes, int]:
    return _plain(ipaddress.ip_address(address[0]).packed), address[1]


def _listed(text: str) -> tuple[bytes, int]:
    """`0100007F:1F90` to address and port; each word of four bytes is in the order of this processor."""
    words, port = text.split(":")
    raw = bytes.fromhex(words)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return _plain(raw), int(port, 16)


def _plain(address: bytes) -> bytes:
    """An IPv4 address that is written as IPv6 as IPv4."""
    mapped = ipaddress.IPv6Address(address).ipv4_mapped if len(address) == 16 else None
    return mapped.packed if mapped else address
