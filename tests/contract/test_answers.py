"""The written contract of the answers: schemas are what the code says, examples are exact, and a gateway keeps to both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from app.tools import contract
from tests.contract.recording import ANSWERS, record
from tests.kit.recorder import recorder

NAMES = sorted(contract.ANSWERS)


def example(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.example.json").read_text(encoding="utf-8"))


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((ANSWERS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.fixture(scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return await record(tmp_path_factory.mktemp("recording"))


def test_every_answer_has_one_schema_and_one_example_and_there_is_no_other_file() -> None:
    files = {path.name for path in ANSWERS.iterdir()}

    assert files == {f"{name}.{kind}.json" for name in NAMES for kind in ("schema", "example")}


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_on_disk_is_the_schema_of_the_code(name: str) -> None:
    written = json.loads((ANSWERS / f"{name}.schema.json").read_text(encoding="utf-8"))

    assert written == contract.answer_schema(name, contract.ANSWERS[name]), (
        "run `python -m app.tools.contract` and commit"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_valid_and_exact(name: str) -> None:
    body = example(name)

    validator(name).validate(body)

    read = contract.ANSWERS[name].model_validate_json(json.dumps(body))
    assert read.model_dump(mode="json", by_alias=True) == body


async def test_a_gateway_answers_by_the_contract(recorded: Mapping[str, Any]) -> None:
    assert set(recorded) == set(NAMES)
    for name, body in recorded.items():
        validator(name).validate(body)


async def test_the_examples_have_every_member_that_a_gateway_sends(recorded: Mapping[str, Any]) -> None:
    for name, body in recorded.items():
        assert set(example(name)) == set(body), f"run `python -m tests.contract.recording`: {name} has changed"


async def test_the_recording_shows_what_its_names_promise(recorded: Mapping[str, Any]) -> None:
    dispositions = [receipt["disposition"] for receipt in recorded["receipts"]["receipts"]]

    assert {"accepted", "duplicate", "invalid", "quarantined"} <= set(dispositions)
    assert recorded["conflict"]["receipt"]["disposition"] == "conflict"
    assert recorded["problem"]["status"] == 404
    assert recorded["holds"]["holds"]
    assert [claim["letter"] for claim in recorded["claims"]["claims"]] == ["A", "B", "C"]
    assert recorded["timeline"]["verified"] is True
    assert recorded["alert"]["state"] == "acknowledged"
    assert recorded["preflight"]["cleared"] is False


async def test_no_answer_names_the_patient(recorded: Mapping[str, Any]) -> None:
    """The referral's identity goes to the vault: nothing of it comes back in any answer."""
    text = json.dumps(recorded)

    for value in ("MRN-", "SYNTHETIC", "100 EXAMPLE STREET", "1EG4TE5MK73", "U00000004", "staff-rn-1"):
        assert value not in text


async def test_every_body_that_a_route_may_answer_is_in_the_contract(tmp_path: Path) -> None:
    known = {base.__name__ for model in contract.ANSWERS.values() for base in model.__mro__}
    async with recorder(tmp_path) as r:
        paths = r.api.openapi()["paths"]

    answered = {name for path in paths.values() for method in path.values() for name in _models(method["responses"])}

    assert {"EncounterAnswer", "Receipts", "ProblemDetails"} <= answered
    assert answered <= known, answered - known


def _models(value: Any) -> Iterator[str]:
    """The names of every model that the answers of an operation refer to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rsplit("/", 1)[1]
        for item in value.values():
            yield from _models(item)
    elif isinstance(value, list):
        for item in value:
            yield from _models(item)
