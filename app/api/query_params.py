"""Checks query parameters and values, so that a misspelled one does not return an empty result."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.problems import FieldProblem, Refusal


def known_parameters(request: Request) -> None:
    """Refuses a request with an unknown query parameter.

    Raises:
        Refusal: 422; names the parameter and the known ones.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = _parameters(route.dependant)
    choice = f"parameters: {', '.join(sorted(known))}" if known else "this path has none"
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        # The message repeats a name only if it is a plain word, since a query may contain anything.
        problems = [FieldProblem(path=_path(name), message=f"unknown parameter; {choice}") for name in unknown]
        raise Refusal(422, "a parameter is not valid", problems)


def _parameters(asks: Dependant) -> set[str]:
    """Returns the query parameters of an endpoint and its dependencies."""
    own = {field.alias for field in asks.query_params}
    return own.union(*(_parameters(one) for one in asks.dependencies))


def _path(name: str) -> str:
    return f"query.{name}" if name.isidentifier() and len(name) <= 40 else "query"


def one_of(parameter: str, value: str, known: Collection[str]) -> None:
    """Refuses a value that is not allowed.

    Raises:
        Refusal: 422; names the allowed values.
    """
    if value not in known:
        problem = FieldProblem(path=f"query.{parameter}", message=f"must be one of {', '.join(sorted(known))}")
        raise Refusal(422, "a parameter is not valid", [problem])
