"""Writes the contract with other systems: a JSON Schema for every event and every response (`docs/contract/`).

Run `python -m app.tools.contract` to write the schemas from the models. Examples are written by hand or recorded. Tests fail
if schema and code differ, or if an example does not fit its schema or model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from app.api import answers
from app.api.problems import ProblemDetails
from domain.events import CATALOGUE, Envelope
from domain.packet import Packet
from domain.preflight import Preflight

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ROOT: Final = Path(__file__).resolve().parents[2] / "docs" / "contract"
EXTENSION: Final = "^[a-z0-9]{1,20}$"
"""Names of CloudEvents extension attributes, which the envelope allows and intake ignores."""


class Refused(ProblemDetails):
    """Refusal of one event: problem details with the receipt as an extension member (RFC 9457)."""

    receipt: answers.Receipt


ANSWERS: Final[Mapping[str, type[BaseModel]]] = {
    "acknowledgement": answers.Acknowledgement,
    "alert": answers.AlertAnswer,
    "alerts": answers.Alerts,
    "audit": answers.AuditPage,
    "causes": answers.Causes,
    "claim": answers.ClaimAnswer,
    "claims": answers.Claims,
    "closing": answers.Closing,
    "conflict": Refused,
    "deliveries": answers.Deliveries,
    "delivery": answers.DeliveryAnswer,
    "emergency_access": answers.EmergencyPage,
    "emergency_entry": answers.EmergencyEntry,
    "emergency_opened": answers.EmergencyOpened,
    "emergency_reason": answers.EmergencyReason,
    "encounter": answers.EncounterAnswer,
    "encounters": answers.EncounterPage,
    "explain": answers.Explanations,
    "fhir": answers.FhirAnswer,
    "health": answers.Health,
    "holds": answers.Holds,
    "invalid": Refused,
    "packet": Packet,
    "preflight": Preflight,
    "problem": ProblemDetails,
    "quarantine": answers.QuarantinePage,
    "quarantine_entry": answers.QuarantineEntry,
    "liveness": answers.Alive,
    "readiness": answers.Readiness,
    "startup": answers.Startup,
    "receipt": answers.Receipt,
    "receipts": answers.Receipts,
    "replies": answers.ReplyFileAnswer,
    "timeline": answers.Timeline,
    "worklist": answers.Worklist,
}
"""Every body of the HTTP interface except events, by its name in `docs/contract/answers/`."""


def event_schema(event_type: str) -> dict[str, Any]:
    """Returns the JSON Schema of one event: the CloudEvents envelope with the `data` of this type."""
    envelope = Envelope.model_json_schema()
    data = CATALOGUE[event_type].json_schema(by_alias=True)
    definitions = {**envelope.pop("$defs", {}), **data.pop("$defs", {})}
    envelope["properties"]["type"] = {"const": event_type}
    envelope["properties"]["data"] = data
    envelope["patternProperties"] = {EXTENSION: True}
    return _headed(f"event:{event_type}", event_type, envelope | {"$defs": definitions})


def answer_schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """Returns the JSON Schema of one response of the HTTP interface as sent."""
    return _headed(f"answer:{name}", name, TypeAdapter(model).json_schema(by_alias=True, mode="serialization"))


def documents() -> Mapping[Path, str]:
    """Returns every generated file under `docs/contract/` with its text."""
    events = {Path("events") / f"{name}.schema.json": _text(event_schema(name)) for name in sorted(CATALOGUE)}
    sent = {Path("answers") / f"{name}.schema.json": _text(answer_schema(name, ANSWERS[name])) for name in ANSWERS}
    return events | sent


def _headed(urn: str, title: str, body: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in body.items() if key != "title" and (key != "$defs" or value)}
    return {"$schema": DIALECT, "$id": f"urn:cart-encounter:{urn}", "title": title} | rest


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(root: Path = ROOT) -> list[Path]:
    """Writes every schema that differs; returns the changed files."""
    changed = []
    for path, text in documents().items():
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def main() -> None:
    """Writes the schemas and prints the files that changed."""
    parser = argparse.ArgumentParser(description="Write the JSON Schemas of every event and response.")
    parser.add_argument("--out", type=Path, default=ROOT, help="directory for the contract (default: docs/contract)")
    for path in write(parser.parse_args().out):
        print(path)


if __name__ == "__main__":
    main()
