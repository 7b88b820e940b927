"""The codec server: decrypts details, summaries and payloads for the Temporal UI.

Two endpoints. A UI with login passes the user's token on (`TEMPORAL_CODEC_PASS_ACCESS_TOKEN`): `/codec/decode` is for
callers who may read timelines. A UI without a login uses the second path, which is itself the secret: a keyed hash that
requires the key file. Only pages of the configured UI may call them. No decrypted content names a patient.

The UI of the embedded server shows its settings, and so the secret path, to every user of the machine. There the second path
is open only to processes of the user who started the stack (`own_user_only`).
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from starlette.middleware.cors import CORSMiddleware
from temporalio.api.common.v1 import Payloads

from app.api.parts import TimelineReader
from app.process.local_peer import of_this_user
from app.process.payload_encryption import SealedPayloads
from store.keys import Keyring, SealBroken

LARGEST_BYTES = 4 * 1024 * 1024


def codec_path(keys: Keyring) -> str:
    """Returns the path of the codec server, for the UI's `--ui-codec-endpoint`."""
    return f"/codec/{keys.digest('codec server')}"


def install_codec(api: FastAPI, keys: Keyring, ui_origins: tuple[str, ...], *, own_user_only: bool = False) -> None:
    """Serves `…/decode` for pages of the UI. There is no `…/encode`: the UI sends nothing to an encounter.

    Args:
        own_user_only: the secret path is for browsers of this machine's user who runs the gateway.
    """
    router = APIRouter(include_in_schema=False)
    codec = SealedPayloads(keys)

    @router.post("/codec/decode")
    async def decode_for_a_caller(request: Request, actor: TimelineReader) -> Response:
        return await opened(request)

    @router.post(f"{codec_path(keys)}/decode")
    async def decode(request: Request) -> Response:
        # With this header the server would take the caller's word for the address.
        forwarded = "x-forwarded-for" in request.headers
        here = request.scope.get("client"), request.scope.get("server")
        if own_user_only and (forwarded or not of_this_user(*here)):
            return Response(status_code=403)
        return await opened(request)

    async def opened(request: Request) -> Response:
        if request.headers.get("origin") not in ui_origins:
            return Response(status_code=403)
        body = await request.body()
        if len(body) > LARGEST_BYTES:
            return Response(status_code=413)
        try:
            sealed = Parse(body, Payloads())
            found = Payloads(payloads=await codec.decode(sealed.payloads))
        except (ParseError, SealBroken, UnicodeDecodeError):
            return Response(status_code=400)
        return Response(MessageToJson(found), media_type="application/json")

    api.include_router(router)
    api.add_middleware(
        CORSMiddleware,
        allow_origins=list(ui_origins),
        allow_methods=["POST"],
        allow_headers=["content-type", "x-namespace", "authorization"],
    )
