"""Sets up namespace and search attributes on a Temporal server, or names the commands where its API does not offer that.

Temporal Cloud manages both outside the server's API (`tcloud` or its web pages) and refuses the calls. It also limits the number
of search attributes of a namespace by type.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.search_attributes import REGISTRY

RETENTION: Final = timedelta(days=90)
"""How long the server keeps the history of a closed workflow; the facts are in the database."""

KNOWN_SECONDS: Final = 60.0
"""Longest time until every part of a server knows a new namespace."""

NOT_OFFERED: Final = frozenset(
    {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}
)

CLOUD_LIMITS: Final = {"Keyword": 40, "KeywordList": 5, "Datetime": 20}
"""Search attributes that Temporal Cloud allows in a namespace, by the types that are used here."""

T = TypeVar("T")
Kinds = dict[str, IndexedValueType.ValueType]


class NotOffered(RuntimeError):
    """The server does not offer the setup; `commands` do it elsewhere."""

    def __init__(self, namespace: str, commands: Collection[str]) -> None:
        super().__init__(f"this server does not let {namespace} be set up through its API")
        self.commands = tuple(commands)


def type_name(kind: IndexedValueType.ValueType) -> str:
    """Returns the name of a type: `KeywordList` for `INDEXED_VALUE_TYPE_KEYWORD_LIST`."""
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


async def register(client: Client, namespace: str) -> list[str]:
    """Creates the namespace and search attributes that are missing; returns what was created.

    Raises:
        ValueError: an attribute of that name has another type; nothing is changed.
        NotOffered: something is missing, and the server does not let it be created.
    """
    made = await _make_namespace(client, namespace)
    known = await _once_known(lambda: _known(client, namespace))
    wrong = [name for name, kind in REGISTRY.items() if known.get(name, kind) != kind]
    if wrong:
        raise ValueError(
            f"search attributes exist with another type in namespace {namespace}: {', '.join(wrong)}; use another namespace"
        )
    missing = {name: kind for name, kind in REGISTRY.items() if name not in known}
    if missing:
        request = AddSearchAttributesRequest(namespace=namespace, search_attributes=missing)
        try:
            await _once_known(lambda: client.operator_service.add_search_attributes(request))
        except RPCError as error:
            raise _refusal(error, namespace, missing) from None
    return made + sorted(missing)


def commands(namespace: str, missing: Collection[str] | None = None, *, create: bool = True) -> list[str]:
    """Returns the commands that set up a namespace: for a server of your own, and for Temporal Cloud."""
    wanted = {name: type_name(kind) for name, kind in REGISTRY.items() if missing is None or name in missing}
    own, cloud = (
        ["# a server of your own"],
        ["# Temporal Cloud (or: its web pages, Namespaces > Edit > Search attributes)"],
    )
    if create:
        own.append(f"temporal operator namespace create --namespace {namespace} --retention {RETENTION.days}d")
        cloud.append(
            f"tcloud namespace create --namespace {namespace.partition('.')[0]} --region REGION "
            f"--retention-days {RETENTION.days} --auth-method api_key"
        )
    for name, kind in wanted.items():
        own.append(f"temporal operator search-attribute create --namespace {namespace} --name {name} --type {kind}")
    if wanted:
        listed = " ".join(f"--search-attribute {name}={kind}" for name, kind in wanted.items())
        cloud.append(f"tcloud namespace search-attributes add --namespace {namespace} {listed}")
    return [*own, *cloud]


async def _make_namespace(client: Client, namespace: str) -> list[str]:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        if error.status in NOT_OFFERED and await _exists(client, namespace):
            return []
        raise _refusal(error, namespace, None, create=True) from None
    return [f"namespace {namespace}"]


async def _once_known(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the server knows the namespace: one that was asked for it before remembers for seconds that it had none."""
    until = asyncio.get_running_loop().time() + KNOWN_SECONDS
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND or asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(0.5)


async def _exists(client: Client, namespace: str) -> bool:
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except RPCError as error:
        if error.status in NOT_OFFERED | {RPCStatusCode.NOT_FOUND}:
            return False
        raise
    return True


async def _known(client: Client, namespace: str) -> Kinds:
    """Returns the attributes of the namespace; found by a query of each where the operator API is not offered."""
    try:
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    except RPCError as error:
        if error.status not in NOT_OFFERED:
            raise
    else:
        return dict(listed.custom_attributes)
    return {name: kind for name, kind in REGISTRY.items() if await _can_be_asked_for(client, namespace, name)}


async def _can_be_asked_for(client: Client, namespace: str, name: str) -> bool:
    request = CountWorkflowExecutionsRequest(namespace=namespace, query=f"{name} IS NULL")
    try:
        await client.workflow_service.count_workflow_executions(request)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return False
        raise
    return True


def _refusal(
    error: RPCError, namespace: str, missing: Collection[str] | None, *, create: bool = False
) -> RPCError | NotOffered:
    if error.status in NOT_OFFERED:
        return NotOffered(namespace, commands(namespace, missing, create=create))
    return error
