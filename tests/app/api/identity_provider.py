"""An identity provider for the tests: real keys, real signatures, its key set served over HTTP on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests.kit import events as e

ISSUER = "https://login.example.org/realms/hospital"
AUDIENCE = "cart-encounter"
NOW = int(e.NOW.timestamp())


def new_key(kind: str = "RSA", kid: str = "k1", **parameters: str) -> Key:
    named: dict[str, Any] = {"kid": kid, "use": "sig", **parameters}
    if kind == "RSA":
        return RSAKey.generate_key(2048, named)
    return ECKey.generate_key("P-256", named) if kind == "EC" else OKPKey.generate_key("Ed25519", named)


RSA = new_key()
"""One for all tests: an RSA key takes its time."""


def token(key: Key = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token as the provider signs it; a claim that is None is left out."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-17",
        "exp": NOW + 300,
        "iat": NOW - 10,
        "roles": ["cart-coordinators"],
        "facilities": ["st-mary"],
        "preferred_username": "jane.canary",
    } | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid, "typ": "at+jwt", **(header or {})}, kept, key, algorithms=[alg])


class Provider:
    """What the server answers with; `looks` counts how often it was asked."""

    def __init__(self, *keys: Key) -> None:
        self.keys, self.status, self.looks, self.url = list(keys), 200, 0, ""

    @property
    def body(self) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.looks += 1
            self.send_response(provider.status)
            self.end_headers()
            self.wfile.write(provider.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    provider.url = f"http://127.0.0.1:{server.server_port}/certs"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
