"""The API key of a Temporal connection: read again from its file, so that a rotated key needs no restart."""

from __future__ import annotations

import asyncio
import weakref
from pathlib import Path

import structlog
from temporalio.client import Client

LOOK_SECONDS = 10.0
"""Seconds between two reads of the file. Keep the old key valid for longer when you rotate."""

log = structlog.get_logger(__name__)

_keeping: set[asyncio.Task[None]] = set()


def keep_api_key(client: Client, file: Path) -> None:
    """Use the key that the file has from now on, for as long as the client is in use. Requires a running event loop."""
    task = asyncio.create_task(_keep(weakref.ref(client), file))
    _keeping.add(task)
    task.add_done_callback(_keeping.discard)


async def _keep(of: weakref.ref[Client], file: Path) -> None:
    reported = ""
    while of() is not None:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            key = (await asyncio.to_thread(file.read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            if reported != type(error).__name__:
                reported = type(error).__name__
                log.warning("temporal.api_key_unreadable", error=reported)
            continue
        client = of()
        if client is not None and key and key != client.api_key:
            client.api_key = key
            log.info("temporal.api_key_changed")
        reported = ""
