"""What a question may ask: parameters that are known, and values that can be. A misspelt one must not answer with nothing."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.problems import FieldProblem, Refusal


def known_parameters(request: Request) -> None:
    """Refuse a request with a parameter that its address does not know.

    Raises:
        Refusal: 422; it names the parameter, and those that are known.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = _parameters(route.dependant)
    choice = f"known are {', '.join(sorted(known))}" if known else "this address has none"
    strange = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if strange:
        # A name is repeated only where it is a word: anything may stand in an address.
        problems = [FieldProblem(path=_path(name), message=f"no such parameter; {choice}") for name in strange]
        raise Refusal(422, "a parameter does not fit", problems)


def _parameters(asks: Dependant) -> set[str]:
    """The query parameters that an endpoint, or anything it depends on, takes."""
    own = {field.alias for field in asks.query_params}
    return own.union(*(_parameters(one) for one in asks.dependencies))


def _path(name: str) -> str:
    return f"query.{name}" if name.isidentifier() and len(name) <= 40 else "query"


def one_of(parameter: str, value: str, known: Collection[str]) -> None:
    """Refuse a value that nothing can have.

    Raises:
        Refusal: 422; it names the values that can be.
    """
    if value not in known:
        problem = FieldProblem(path=f"query.{parameter}", message=f"one of {', '.join(sorted(known))}")
        raise Refusal(422, "a parameter does not fit", [problem])
