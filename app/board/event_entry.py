"""Manual entry of events: forms with errors at their fields; entries go through the inbox."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.responses import Response

from app.api import counters, reading
from app.api.actors import Actor
from app.api.parts import Parts
from app.api.problems import Refusal
from app.board import checks
from app.board.cards import own_clock
from app.board.fields import Field, FieldError, data_of
from app.board.form import Form
from app.board.forms import DOCUMENT_NAMES, EVIDENCE, FORMS, SOURCE, fields
from app.board.names import Names
from app.board.rights import may_on_board
from app.board.scanning import spread
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, SignedIn, page, with_board_right
from domain.events import InvalidEvent, parse
from domain.events.governance import CorrectionMade
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive
from store.encounters import order_number
from store.engine import Session as StoreSession
from store.tables import Encounter

FORM_ID = re.compile(r"^[0-9a-f]{32}$")
LONGEST = 300

router = APIRouter(route_class=BoardRoute, include_in_schema=False)


@dataclass(frozen=True)
class Original:
    """The event that a form corrects, with its current data."""

    event_id: str
    source: str
    id: str
    data: Mapping[str, Any]


@dataclass
class Sheet:
    """A form with inputs, values and errors."""

    form: Form
    inputs: list[Field]
    encounter: Encounter | None
    zones: list[str]
    kind: str = ""
    kinds: Sequence[str] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)
    unfilled: bool = False
    original: Original | None = None
    form_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def document_names(self) -> Mapping[str, str]:
        return DOCUMENT_NAMES

    @property
    def missing(self) -> frozenset[str]:
        """Returns the document types missing for a gate of the encounter."""
        gates = self.encounter.view.get("gates", ()) if self.encounter else ()
        unmet = {one["key"].rsplit(".", 1)[-1] for gate in gates for one in gate["requirements"] if not one["met"]}
        return frozenset(unmet & set(self.kinds))

    @property
    def action(self) -> str:
        if self.encounter and self.original:
            return f"/encounters/{self.encounter.encounter_id}/entries/{self.original.event_id}"
        return f"/encounters/{self.encounter.encounter_id}/forms/{self.form.key}" if self.encounter else self.home

    @property
    def home(self) -> str:
        return f"/forms/{self.form.key}"

    @property
    def folded_wrong(self) -> bool:
        """Returns True if a collapsed field has an error."""
        return any(path.split(".")[0] in self.form.folded for path in self.errors)

    @property
    def zone(self) -> str:
        chosen = self.given.get("zone", "")
        return chosen if chosen in self.zones else self.zones[0]


@router.get("/forms")
def list_forms(request: Request, parts: PartsHere, session: SignedIn, sent: str = "") -> Response:
    """Returns the forms that do not require a chosen encounter."""
    mine = [form for form in FORMS.values() if may_on_board(session.actor, form.right) and _without_encounter(form)]
    done = FORMS.get(sent)
    return page(request, "forms.html", forms=mine, sent=done, names=names_of(parts))


@router.get("/forms/{key}")
def show_form(key: str, request: Request, parts: PartsHere, session: SignedIn) -> Response:
    """Returns a form about a holder, or one that identifies its encounter by a scan."""
    form = _form(key, request, session)
    if not _without_encounter(form):
        raise Refusal(404, "this form requires an encounter; open it from the encounter page")
    return show(request, sheet_of(parts, session.actor, form, None), names_of(parts))


@router.post("/forms/{key}")
def post_form(key: str, request: Request, parts: PartsHere, session: SignedIn, given: Posted) -> Response:
    """Enters an event about a holder, or about the encounter of a scanned identifier."""
    form = _form(key, request, session)
    if not _without_encounter(form):
        raise Refusal(404, "this form requires an encounter; open it from the encounter page")
    return enter(request, parts, session, sheet_of(parts, session.actor, form, None), given)


@router.get("/encounters/{encounter_id}/forms/{key}")
def show_encounter_form(
    encounter_id: str,
    key: str,
    request: Request,
    parts: PartsHere,
    session: SignedIn,
    kind: Annotated[str, Query(max_length=60)] = "",
    hold: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Returns a form of an encounter. Evidence requires the document type first, which decides its fields."""
    form = _form(key, request, session)
    sheet = sheet_of(parts, session.actor, form, encounter_for(parts, session.actor, encounter_id), kind)
    sheet.given = {**sheet.given, "data.hold": hold}
    return show(request, sheet, names_of(parts))


@router.post("/encounters/{encounter_id}/forms/{key}")
def post_encounter_form(
    encounter_id: str, key: str, request: Request, parts: PartsHere, session: SignedIn, given: Posted
) -> Response:
    """Enters an event of an encounter."""
    form = _form(key, request, session)
    encounter = encounter_for(parts, session.actor, encounter_id)
    return enter(request, parts, session, sheet_of(parts, session.actor, form, encounter, given.get("kind", "")), given)


@router.post("/forms/{key}/scan")
def split_barcode(key: str, request: Request, parts: PartsHere, session: SignedIn, given: Posted) -> Response:
    """Returns the fields of a scanned barcode, for the page to fill in."""
    names = names_of(parts)
    inputs = fields(_form(key, request, session), names)
    values, errors = spread(inputs, given, names.ndc_prefixes())
    changed = {name: text for name, text in values.items() if given.get(name, "") != text}
    return JSONResponse({"values": changed, "errors": {f"data.{one.path}": one.message for one in errors}})


def names_of(parts: Parts) -> Names:
    return Names(parts.site, parts.rules() if parts.rules else None)


def _without_encounter(form: Form) -> bool:
    return form.subject is not None or form.found_by is not None or form.opens


def _form(key: str, request: Request, session: Session) -> Form:
    form = FORMS.get(key)
    if form is None:
        raise Refusal(404, "form not found")
    with_board_right(request, session, form.right)
    return form


def encounter_for(parts: Parts, actor: Actor, encounter_id: str) -> Encounter:
    with parts.db.read() as session:
        return reading.encounter_of(session, parts, actor, encounter_id)


def sheet_of(parts: Parts, actor: Actor, form: Form, encounter: Encounter | None, kind: str = "") -> Sheet:
    kinds = tuple(sorted(EVIDENCE)) if form.key == "evidence" else ()
    kind = kind if kind in kinds else ""
    roles = sorted(role.value for role in actor.roles)
    names = names_of(parts)
    inputs = [] if kinds and not kind else fields(form, names, overridable(encounter), kind)
    for place, one in enumerate(inputs):
        if one.path == "role":
            inputs[place] = _choice(one, [(role, role) for role in roles])
    sheet = Sheet(form, inputs, encounter, _zones(parts, names, encounter), kind, kinds)
    if form.key == "custody":
        # A scan happens now; for a later entry the user changes the time.
        here = _time(parts, sheet).astimezone(ZoneInfo(sheet.zone))
        sheet.given = {"data.at": f"{here:%Y-%m-%dT%H:%M}"}
    return sheet


def _choice(one: Field, options: Sequence[tuple[str, str]]) -> Field:
    return Field(one.path, one.label, "choice", one.required, tuple(options), hint=one.hint)


def overridable(encounter: Encounter | None) -> list[tuple[str, str]]:
    """Returns the holds of an encounter that may be overridden, by ID and title."""
    holds = reading.open_holds(encounter) if encounter else []
    return [(hold["id"], f"{hold['title']} ({hold['gate']})") for hold in holds if hold["overridable"]]


def _zones(parts: Parts, names: Names, encounter: Encounter | None) -> list[str]:
    """Returns time zones, those of the encounter's facilities first."""
    own = [parts.site.facility(key) for key in encounter.facilities] if parts.site and encounter else []
    return list(dict.fromkeys([place.time_zone for place in own if place] + names.zones()))


def show(request: Request, sheet: Sheet, names: Names, status: int = 200) -> Response:
    return page(request, "form.html", status, sheet=sheet, form=sheet.form, names=names)


def enter(request: Request, parts: Parts, session: Session, sheet: Sheet, given: Mapping[str, str]) -> Response:
    sheet.given = given
    if FORM_ID.match(given.get("form_id", "")):
        sheet.form_id = given["form_id"]
    if given.get("resume") == "yes":
        return show(request, sheet, names_of(parts))
    envelope = _envelope(parts, sheet, given)
    if envelope is None:
        return show(request, sheet, names_of(parts), 422)
    try:
        result = receive(
            parts.db,
            parts.keys,
            envelope,
            parts.clock(),
            "board" if session.actor.person else f"board:{session.actor.name}",
            allowed=session.actor.facilities,
        )
    except NotAllowed as error:
        parts.record(session.actor.name, f"enter {envelope['type']}", "(event)", "denied")
        raise Refusal(403, str(error)) from None
    counters.RECEIVED.labels(disposition=result.disposition.value).inc()
    target = result.event_id or "(event)"
    parts.record(session.actor.name, f"enter {envelope['type']}", target, result.disposition.value)
    if parts.deliverer is not None:
        parts.deliverer.wake()
    return _answered(request, parts, session, sheet, result)


def _answered(request: Request, parts: Parts, session: Session, sheet: Sheet, result: ReceiptResult) -> Response:
    if result.disposition in (Disposition.ACCEPTED, Disposition.DUPLICATE):
        seen = result.encounter_id is not None and _visible(parts, session.actor, result.encounter_id)
        where = f"/encounters/{result.encounter_id}" if seen else "/forms"
        return RedirectResponse(f"{where}?sent={'correction' if sheet.original else sheet.form.key}", 303)
    if result.disposition is Disposition.QUARANTINED:
        sheet.general = [f"saved, but not matched to an encounter yet: {reason}" for reason in result.reasons]
        return show(request, sheet, names_of(parts), 202)
    sheet.general = ["Already submitted with different values; the first entry was kept. Open a new form."]
    return show(request, sheet, names_of(parts), 409)


def _visible(parts: Parts, actor: Actor, encounter_id: str) -> bool:
    try:
        encounter_for(parts, actor, encounter_id)
    except Refusal:
        return False
    return True


def _envelope(parts: Parts, sheet: Sheet, given: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the event of a form; None if it has errors, which are set on the sheet."""
    form = sheet.form
    if sheet.original and given.get("retract") == "yes":
        return _retraction(parts, sheet, given)
    given, unread = spread(sheet.inputs, given, names_of(parts).ndc_prefixes())
    sheet.given = given
    data, errors = data_of(sheet.inputs, given, sheet.zone)
    errors += unread
    who, why = given.get("who", "").strip(), given.get("why", "").strip()
    if sheet.kind:
        data["kind"] = sheet.kind
    signed = sheet.original.data if sheet.original else {form.who: who, form.why: why}
    data |= {path: signed[path] for path in (form.who, form.why) if path and signed.get(path)}
    errors += _who_and_why(who, why)
    if form.opens and not given.get("order", "").strip():
        errors.append(FieldError("order", "enter the order number, which identifies the encounter"))
    errors += checks.of_time(form, data, _time(parts, sheet), sheet.zone)
    if form.key == "custody":
        errors += checks.of_persons(data)
        errors += checks.of_corrector(sheet.original.data if sheet.original else {}, who)
        errors += _unfilled(sheet, data, names_of(parts))
    with parts.db.read() as session:
        subject = _subject(session, parts, sheet, data)
    envelope = _written(parts, sheet, form.event_type, subject, data, (who, why))
    if _wrong(sheet, errors, envelope, known=bool(subject)):
        return None
    return _correction(parts, sheet, subject, (who, why), {"replacement": data}) if sheet.original else envelope


def _retraction(parts: Parts, sheet: Sheet, given: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the event that retracts another; only who and why are required."""
    who, why = given.get("who", "").strip(), given.get("why", "").strip()
    with parts.db.read() as session:
        subject = _subject(session, parts, sheet, {})
    envelope = _correction(parts, sheet, subject, (who, why), {"retract": True})
    errors = _who_and_why(who, why)
    if sheet.original and sheet.form.key == "custody":
        errors += checks.of_corrector(sheet.original.data, who)
    return None if _wrong(sheet, errors, envelope, known=bool(subject)) else envelope


def _correction(
    parts: Parts, sheet: Sheet, subject: str | None, signed: tuple[str, str], change: Mapping[str, Any]
) -> dict[str, Any]:
    assert sheet.original is not None
    of = {"source": sheet.original.source, "id": sheet.original.id}
    data = {"of": of, "reason": signed[1], "signer": signed[0], **change}
    return _written(parts, sheet, CorrectionMade.event_type, subject, data, signed)


def _written(
    parts: Parts, sheet: Sheet, kind: str, subject: str | None, data: Mapping[str, Any], signed: tuple[str, str]
) -> dict[str, Any]:
    """Returns the event of a form with who entered it and why."""
    return {
        "specversion": "1.0",
        "id": sheet.form_id,
        "source": SOURCE,
        "type": kind,
        "subject": subject or "unknown",
        "time": _time(parts, sheet).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
        "enteredby": signed[0],
        "enteredbecause": signed[1],
    }


def _unfilled(sheet: Sheet, data: Mapping[str, Any], names: Names) -> list[FieldError]:
    """Returns the missing fields of a transfer, unless the person marked them as not known; the gates check those."""
    found = list(checks.of_step(data, names))
    sheet.unfilled = bool(found)
    if sheet.given.get("unknown") == "yes":
        return []
    return [FieldError(_place(sheet.inputs, one.path) or one.path, one.message) for one in found]


def _who_and_why(who: str, why: str) -> list[FieldError]:
    errors = []
    for path, text, message in (("who", who, "enter your name"), ("why", why, "enter the reason or document")):
        if not text:
            errors.append(FieldError(path, message))
        elif len(text) > LONGEST:
            errors.append(FieldError(path, f"at most {LONGEST} characters"))
    return errors


def _wrong(sheet: Sheet, errors: list[FieldError], envelope: dict[str, Any], known: bool) -> bool:
    """Sets every error on the sheet; on one field the form's own error wins over the event catalog's."""
    sheet.errors = {error.path: error.message for error in errors}
    hidden = {sheet.form.who: "who", sheet.form.why: "why", "signer": "who", "reason": "why"}
    try:
        parse(envelope)
    except InvalidEvent as error:
        for problem in error.problems:
            path = problem.path.removeprefix("data.")
            place = hidden.get(path) or _place(sheet.inputs, path)
            if place:
                sheet.errors.setdefault(place, problem.message)
            else:
                sheet.general.append(problem.message)
    if not known and not sheet.errors and not sheet.general:
        sheet.general.append("this encounter has no order number; send the event through the API")
    return bool(sheet.errors or sheet.general)


def _place(inputs: Sequence[Field], path: str) -> str | None:
    """Returns the field of a message: its own, or the first of several parts."""
    if any(path == one.path or path.startswith(one.path + ".") for one in inputs):
        return path
    return next((one.path for one in inputs if one.path.startswith(path + ".")), None)


def _subject(session: StoreSession, parts: Parts, sheet: Sheet, data: Mapping[str, Any]) -> str | None:
    """Returns the subject of the event: the order number, the key of a holder, or the scanned identifier."""
    if sheet.form.opens:
        return sheet.given.get("order", "").strip()[:LONGEST] or None
    named = sheet.form.subject or (None if sheet.encounter else sheet.form.found_by)
    if named is not None:
        return str(data[named]) if data.get(named) else None
    if sheet.encounter is None:
        return None
    return order_number(session, parts.keys, sheet.encounter.encounter_id)


def _time(parts: Parts, sheet: Sheet) -> datetime:
    decided = sheet.encounter.decided_at if sheet.encounter else None
    return own_clock(parts.clock(), decided)
