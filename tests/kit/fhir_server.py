"""A FHIR server and its authorization server, over HTTP: tokens for signed statements, resources and `$events` for tokens."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.kit.fhir import r4b

CLIENT = "cart-encounter"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Json = dict[str, Any]


@dataclass
class FhirServer:
    """What it knows, and what it was asked.

    Attributes:
        known_keys: our public keys as it has them (JWK set); None where it takes any caller.
        life: of a token, in seconds.
        gone: resources that it deleted.
    """

    address: str = ""
    known_keys: Json | None = None
    life: float = 300
    resources: dict[str, Json] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    events: dict[int, Json] = field(default_factory=dict)
    supports_events: bool = True
    tokens: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/r4/.well-known/smart-configuration")
        def configuration() -> Json:
            return {"token_endpoint": f"{self.address}/token", "capabilities": ["client-confidential-asymmetric"]}

        @app.post("/token")
        async def token(request: Request) -> Response:
            return self._token({name: values[0] for name, values in parse_qs((await request.body()).decode()).items()})

        @app.get("/r4/Subscription/{name}/$events")
        def events(name: str, request: Request) -> Response:
            first, last = (int(request.query_params[f"events{end}Number"]) for end in ("Since", "Until"))
            numbers = [number for number in self.events if first <= number <= last]
            bundle = r4b("query-event", numbers, max(self.events, default=0), *[self.events[n] for n in numbers])
            return self._answer(request, bundle if self.supports_events else None)

        @app.get("/r4/{kind}/{name}")
        def read(kind: str, name: str, request: Request) -> Response:
            reference = f"{kind}/{name}"
            return (
                Response(status_code=410)
                if reference in self.gone
                else self._answer(request, self.resources.get(reference))
            )

        return app

    def _token(self, form: dict[str, str]) -> Response:
        """As SMART Backend Services asks: a statement of ours, signed for this address, for a short time, once."""
        wanted = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
        if {name: form.get(name) for name in wanted} != wanted or not form.get("scope", "").startswith("system/"):
            return JSONResponse({"error": "invalid_request"}, 400)
        try:
            statement = jwt.decode(
                form["client_assertion"], KeySet.import_key_set(self.known_keys or {"keys": []}),
                algorithms=["RS384", "ES384"],
            )  # fmt: skip
            registry = jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": CLIENT},
                sub={"essential": True, "value": CLIENT},
                aud={"essential": True, "value": f"{self.address}/token"},
                exp={"essential": True},
                jti={"essential": True},
            )
            registry.validate(statement.claims)
        except (JoseError, ValueError):
            return JSONResponse({"error": "invalid_client"}, 401)
        if statement.claims["jti"] in self.used or statement.claims["exp"] - statement.claims["iat"] > 300:
            return JSONResponse({"error": "invalid_client"}, 401)
        self.used.add(statement.claims["jti"])
        self.signed_by.append(str(statement.header.get("kid")))
        token = secrets.token_urlsafe(8)
        self.tokens.add(token)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": self.life})

    def _answer(self, request: Request, body: Json | None) -> Response:
        self.asked.append(request.url.path.removeprefix("/r4/"))
        stated = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.known_keys is not None and stated not in self.tokens:
            return JSONResponse({"resourceType": "OperationOutcome"}, 401)
        if body is None:
            return JSONResponse({"resourceType": "OperationOutcome"}, 404)
        return JSONResponse(body, media_type="application/fhir+json")


@asynccontextmanager
async def serving(known: FhirServer) -> AsyncIterator[FhirServer]:
    """The server on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(known.app(), host="127.0.0.1", port=0, log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    known.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield known
    server.should_exit = True
    await task


def key_files(path: Path, *keys: RSAKey | ECKey) -> tuple[str, Json]:
    """A file of private keys, and the public ones as their server has them."""
    found = KeySet(list(keys))
    path.write_text(json.dumps(found.as_dict(private=True)))
    return str(path), dict(found.as_dict(private=False))


def rsa(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "alg": "RS384", "use": "sig"}, private=True)
