"""Encrypts payloads and failures sent to Temporal. One data converter for worker, gateway, demo and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from store.keys import Keyring

ENCODING = b"binary/cart-encrypted"
PURPOSE = "temporal payload"


class SealedPayloads(PayloadCodec):
    """AES-256-GCM over whole payloads, with the keys of the key file."""

    def __init__(self, keys: Keyring) -> None:
        self.keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": ENCODING}, data=self.keys.seal(payload.SerializeToString(), PURPOSE))
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._open(payload) for payload in payloads]

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        return Payload.FromString(self.keys.open(payload.data, PURPOSE))


def data_converter(keys: Keyring) -> DataConverter:
    """Returns a converter for Pydantic models as encrypted JSON; failure messages and traces are encrypted too."""
    return replace(
        pydantic_data_converter,
        payload_codec=SealedPayloads(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
