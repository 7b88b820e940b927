"""Builds a gateway process from its settings: callers, HL7 and FHIR feeds, feed monitoring."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import Field

from app.api.access import Access, AccessError
from app.api.access_watch import AccessOfFile
from app.api.parts import utc_now
from app.process.codec import install_codec
from app.process.connect import Home, connect_temporal
from app.process.gateway import create_gateway
from app.process.http_limits import ConnectionLimits, limited_http
from app.settings import DEPLOY, CannotStart, Settings
from domain.site import Site
from intake.delivery import Deliverer
from intake.feed_health import FeedWatch
from intake.fhir.missed_notifications import Asker
from intake.hl7.mllp import MllpServer, tls_context
from intake.hl7.receiver import Hl7Receiver
from intake.payer_files.importer import PayerFileImporter
from intake.replay import reader_of
from intake.site_mapping import MappingError, SiteMapping, parse_mapping, unknown_facilities
from intake.workflow_client import WorkflowClient

GRACE_SECONDS = 3
PATIENCE = 4.0
"""Seconds that a caller or sender is kept waiting for a database that another process holds."""


class GatewaySettings(Settings):
    """Settings of the gateway only. MLLP is served if a port is set; port 0 turns it off."""

    access_file: Path | None = None
    board_idle_minutes: int = Field(default=15, ge=1, le=720)
    """Minutes without a person's action after which a session of the board ends."""
    http_connections: int = Field(default=1000, ge=16)
    http_connections_per_address: int = Field(default=400, ge=8)
    """Connections at once, and of one address. A proxy is one address: give it as many as it may open."""
    mapping_file: Path = DEPLOY / "hl7.example.toml"
    mllp_host: str = "127.0.0.1"
    mllp_port: int = Field(default=0, ge=0, le=65535)
    mllp_certificate: Path | None = None
    mllp_key: Path | None = None
    mllp_client_authority: Path | None = None
    ui_origins: tuple[str, ...] = ()
    """Origins of the Temporal UI that may decrypt payloads, as a JSON list; empty for none."""
    codec_own_user_only: bool = False
    """The codec server's secret path is for processes of the user who runs the gateway, on this machine."""


def build_gateway(settings: GatewaySettings, home: Home) -> FastAPI:
    """Returns the gateway application.

    Raises:
        CannotStart: access or mapping file is not valid, or unknown callers could connect; the message is one line.
    """
    access, mapping, site = access_of(settings), mapping_of(settings), home.config.site()
    if "mapping_file" in settings.model_fields_set:  # the packaged file is only an example
        check_facilities(site, mapping)
    workflows = WorkflowClient(lambda: connect_temporal(settings, home.keys))
    deliverer = Deliverer(home.db, workflows.deliver, keys=home.keys)
    api = create_gateway(
        db=home.db,
        keys=home.keys,
        access=access,
        site=site,
        rules=home.config.rules,
        deliverer=deliverer,
        temporal_reachable=workflows.reachable,
        reader=reader_of(lambda: mapping, PayerFileImporter(home.db, home.keys, home.config.site)),
        mapping=mapping,
        mllp=_mllp(settings, home, mapping, deliverer),
        watch=FeedWatch(home.db, mapping.longest_silences, utc_now),
        asker=Asker(home.db, home.keys, mapping, utc_now, deliverer.wake),
        idle=timedelta(minutes=settings.board_idle_minutes),
    )
    if settings.ui_origins:
        install_codec(api, home.keys, settings.ui_origins, own_user_only=settings.codec_own_user_only)
    return api


def server_of(settings: GatewaySettings, api: FastAPI, limits: ConnectionLimits | None = None) -> uvicorn.Server:
    """Returns the HTTP server of a gateway; it does not log requests, since paths may contain identifiers.

    Args:
        limits: of connections; by default those of the settings.
    """
    limits = limits or ConnectionLimits(settings.http_connections, settings.http_connections_per_address)
    return uvicorn.Server(
        uvicorn.Config(
            api,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            http=limited_http(limits),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def bound(setting: str, host: str, port: int) -> socket.socket:
    """Returns a socket bound to an address, not listening yet.

    Raises:
        CannotStart: the address is in use, not of this machine, or not allowed; the message names the setting.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        raise CannotStart(f"{setting}: {host} port {port}: {error.strerror}; choose another") from None
    return found


def access_of(settings: GatewaySettings) -> Access | AccessOfFile:
    """Returns the callers of the access file, else the single token, which is for the loopback address only.

    Raises:
        CannotStart: the file is not valid, or the single token would protect more than the loopback address.
    """
    try:
        if settings.access_file is not None:
            return AccessOfFile(settings.access_file)
        access = Access.from_token_file(settings.token_file)
    except AccessError as error:
        raise CannotStart(str(error)) from None
    if not is_loopback(settings.http_host):
        raise CannotStart(
            f"CART_HTTP_HOST={settings.http_host} is reachable from other machines: list the callers in an access file "
            "(CART_ACCESS_FILE), or use 127.0.0.1"
        )
    return access


def mapping_of(settings: GatewaySettings) -> SiteMapping:
    """Returns the site's HL7 and FHIR mapping.

    Raises:
        CannotStart: the file cannot be read or is not valid.
    """
    try:
        return parse_mapping(settings.mapping_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotStart(f"mapping file {settings.mapping_file}: {error.strerror}") from None
    except MappingError as error:
        raise CannotStart(f"mapping file {settings.mapping_file}: {error}") from None


def check_facilities(site: Site, mapping: SiteMapping) -> None:
    """Checks that every facility of the mapping is in the site file.

    Raises:
        CannotStart: some are not; the message names each with its place.
    """
    unknown = unknown_facilities(mapping, [facility.key for facility in site.facilities])
    if unknown:
        raise CannotStart(f"mapping file: {'; '.join(unknown)}")


def _mllp(settings: GatewaySettings, home: Home, mapping: SiteMapping, deliverer: Deliverer) -> MllpServer | None:
    if settings.mllp_port == 0:
        return None
    tls = _tls(settings)
    if tls is None and not is_loopback(settings.mllp_host):
        raise CannotStart(
            f"CART_MLLP_HOST={settings.mllp_host} is reachable from other machines: set CART_MLLP_CERTIFICATE, CART_MLLP_KEY and "
            "CART_MLLP_CLIENT_AUTHORITY, or use 127.0.0.1"
        )
    receiver = Hl7Receiver(home.db, home.keys, mapping, utc_now, deliverer.wake)
    return MllpServer(receiver, settings.mllp_host, settings.mllp_port, tls)


def _tls(settings: GatewaySettings) -> ssl.SSLContext | None:
    files = (settings.mllp_certificate, settings.mllp_key, settings.mllp_client_authority)
    if not any(files):
        return None
    certificate, key, authority = files
    if certificate is None or key is None or authority is None:
        raise CannotStart(
            "TLS for MLLP requires all of CART_MLLP_CERTIFICATE, CART_MLLP_KEY, CART_MLLP_CLIENT_AUTHORITY"
        )
    try:
        return tls_context(certificate, key, authority)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"TLS for MLLP: {error.strerror or type(error).__name__}") from None


def is_loopback(host: str) -> bool:
    """Returns True if only this machine can connect."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
