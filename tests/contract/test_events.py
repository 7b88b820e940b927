"""The written contract of the events: schemas are what the code says, examples are exact and valid."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from app.tools import contract
from domain.events import CATALOGUE, InvalidEvent, parse

EVENTS = contract.ROOT / "events"
TYPES = sorted(CATALOGUE)


def example(event_type: str) -> dict[str, Any]:
    return dict(json.loads((EVENTS / f"{event_type}.example.json").read_text(encoding="utf-8")))


def validator(event_type: str) -> Draft202012Validator:
    schema = json.loads((EVENTS / f"{event_type}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def test_every_type_has_one_schema_and_one_example_and_there_is_no_other_file() -> None:
    files = {path.name for path in EVENTS.iterdir()}

    assert files == {f"{event_type}.{kind}.json" for event_type in TYPES for kind in ("schema", "example")}


@pytest.mark.parametrize("event_type", TYPES)
def test_the_schema_on_disk_is_the_schema_of_the_code(event_type: str) -> None:
    written = json.loads((EVENTS / f"{event_type}.schema.json").read_text(encoding="utf-8"))

    assert written == contract.event_schema(event_type), "run `python -m app.tools.contract` and commit what it changes"


@pytest.mark.parametrize("event_type", TYPES)
def test_the_example_fits_schema_and_catalogue(event_type: str) -> None:
    body = example(event_type)

    validator(event_type).validate(body)
    envelope, data = parse(body)

    assert envelope.type == event_type
    assert data.event_type == event_type


@pytest.mark.parametrize("event_type", TYPES)
def test_the_example_is_exact(event_type: str) -> None:
    """Read and written again it is the same: nothing in it is dropped, coerced or spelled another way."""
    body = example(event_type)

    _, data = parse(body)

    assert _same(data.model_dump(mode="json", by_alias=True, exclude_unset=True), body["data"])


@pytest.mark.parametrize("event_type", TYPES)
def test_schema_and_code_both_refuse_an_unknown_field_in_data(event_type: str) -> None:
    body = example(event_type)
    body["data"]["surprise"] = 1

    with pytest.raises(InvalidEvent, match="unknown field"):
        parse(body)
    with pytest.raises(ValidationError):
        validator(event_type).validate(body)


@pytest.mark.parametrize("event_type", TYPES)
def test_schema_and_code_require_the_same_fields(event_type: str) -> None:
    """Take each field of the example away: both refuse, or neither, unless only a rule across fields speaks against it."""
    for field in example(event_type)["data"]:
        body = copy.deepcopy(example(event_type))
        del body["data"][field]
        schema_refuses = not validator(event_type).is_valid(body)
        missing = _refusal(body)
        assert schema_refuses == any(
            "required field is missing" in text or "kind must be" in text for text in missing
        ), field


def test_extension_attributes_are_allowed_in_the_envelope() -> None:
    body = example("cart.apheresis.completed") | {"traceparent": "00-1-2-00"}

    validator("cart.apheresis.completed").validate(body)
    parse(body)


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_the_envelope_is_complete(field: str) -> None:
    body = example("cart.apheresis.completed")
    del body[field]

    with pytest.raises(InvalidEvent, match=field):
        parse(body)
    assert not validator("cart.apheresis.completed").is_valid(body)


def _refusal(body: dict[str, Any]) -> list[str]:
    try:
        parse(body)
    except InvalidEvent as error:
        return [problem.message for problem in error.problems]
    return []


def _same(read: Any, written: Any) -> bool:
    """Equal in value and spelling; a quantity may be a number in the example and leaves the model as decimal text."""
    if isinstance(written, dict):
        return (
            isinstance(read, dict)
            and read.keys() == written.keys()
            and all(_same(read[k], written[k]) for k in written)
        )
    if isinstance(written, list):
        return isinstance(read, list) and len(read) == len(written) and all(map(_same, read, written))
    if isinstance(written, (int, float)) and isinstance(read, str):
        return Decimal(read) == Decimal(str(written))
    return bool(read == written)
