"""The kernel's list of connections names the user behind a connection of this machine."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from app.process.local_peer import of_this_user, user_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the list is Linux's")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)
def test_an_open_connection_is_of_the_user_who_opened_it_and_a_closed_one_of_no_one(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} is not an address of this machine")
        server.listen()
        client = socket.create_connection(server.getsockname()[:2])
        with server.accept()[0] as accepted:
            there, here = accepted.getpeername()[:2], accepted.getsockname()[:2]
            assert user_of(there, here) == os.geteuid()
            assert of_this_user(there, here)
            client.close()
            assert user_of(there, here) is None
            assert not of_this_user(there, here)


def test_an_address_written_as_ipv6_is_the_ipv4_address() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as accepted:
            assert accepted.getpeername()[0] == "::ffff:127.0.0.1"
            assert user_of(accepted.getpeername()[:2], ("127.0.0.1", port)) == os.geteuid()
            assert user_of(client.getsockname()[:2], ("::ffff:127.0.0.1", port)) == os.geteuid()


def test_a_connection_from_elsewhere_or_without_an_address_is_of_no_one() -> None:
    assert user_of(("192.0.2.1", 443), ("127.0.0.1", 1)) is None
    assert not of_this_user(None, ("127.0.0.1", 1))
    assert not of_this_user(("127.0.0.1", 1), None)
