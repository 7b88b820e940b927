"""Forms become events: the same catalog, the same inbox, with signer and reason; errors are beside their fields."""

from __future__ import annotations

import re
from html import unescape

import pytest

from app.api.roles import Role
from app.board.forms import EVIDENCE, FORMS
from app.board.rights import BOARD_TABLE
from store.tables import Encounter
from tests.app.board.conftest import Board
from tests.app.board.filled import CUSTODY, FILLED, path_of
from tests.app.board.markup import problems
from tests.kit.recorder import TOKEN

REFERRAL = {
    "product": "tecartus", "indication": "mcl", "diagnosis": "C83.18", "patient.mrn": "MRN-BOARD",
    "patient.name.family": "Madeup",
    "patient.name.given": "Robin", "patient.birth_date": "1960-02-03", "patient.sex": "female", "patient.address.line": "1 Elm",
    "patient.address.city": "Columbus", "patient.address.state": "OH", "patient.address.postal_code": "43215",
    "coverage.payer": "medicare", "coverage.member_id": "1EG4TE5MK73", "facilities.apheresis": "st_mary",
    "facilities.infusion": "st_mary", "prescriber_npi": "1234567893", "planned_setting": "inpatient", "weight_kg": "70",
    "bsa_m2": "1.85", "prior_therapies": "rituximab, bendamustine; 1; chemoimmunotherapy; ; 2024-01-01; 2024-06-01\n"
    "ibrutinib;2;btk_inhibitor;ibrutinib;2024-09-01;2025-06-01;partial;progression",
}  # fmt: skip
EVIDENCE_VALUES = {
    "ecog": ({"score": "1"}, {"score": 1}),
    "cd19_flow": ({"cd19_positive": "yes", "percent": "98.5"}, {"cd19_positive": True, "percent": "98.5"}),
    "btk_inhibitor": (
        {"agent": "ibrutinib", "started": "2025-01-01", "stopped": "2025-06-01", "reason": "progression"},
        {"agent": "ibrutinib", "started": "2025-01-01", "stopped": "2025-06-01", "reason": "progression"},
    ),
    "imaging": ({}, None),
}


@pytest.mark.parametrize("key", sorted(FILLED))
async def test_every_form_posts_its_event_with_who_and_why(board: Board, key: str) -> None:
    answer = await board.enter(path_of(board, key), FILLED[key])
    assert answer.status_code == 303, unescape(re.sub("<[^>]+>", " ", answer.text))[-1500:]
    assert f"sent={key}" in answer.headers["location"]
    event = board.last_event()
    assert event["type"] == FORMS[key].event_type
    assert (event["enteredby"], event["enteredbecause"]) == ("A. Nurse", "telephone call")
    actions = [(actor, action) for actor, action, _ in board.audit()]
    assert ("token", f"enter {event['type']}") in actions
    shown = await board.get(answer.headers["location"])
    assert "entered" in shown.text


def test_every_form_is_tried() -> None:
    assert {*FILLED, "evidence", "override", "referral"} == set(FORMS)


async def test_a_referral_opens_an_encounter_under_its_order_number(board: Board) -> None:
    assert '/forms/referral"' in (await board.get("/forms")).text
    assert '/forms/referral"' not in (await board.get(f"/encounters/{board.held}")).text
    answer = await board.enter("/forms/referral", REFERRAL)
    assert answer.status_code == 422
    assert "enter the order number" in answer.text
    answer = await board.enter("/forms/referral", {**REFERRAL, "order": "ORDER-BOARD"})
    assert answer.status_code == 303, unescape(re.sub("<[^>]+>", " ", answer.text))[-1500:]
    event = board.last_event()
    assert (event["subject"], event["type"]) == ("ORDER-BOARD", "cart.referral.received")
    first, second = event["data"]["prior_therapies"]
    assert first == {
        **{"regimen": "rituximab, bendamustine", "line": 1, "class": "chemoimmunotherapy"},
        **{"started": "2024-01-01", "stopped": "2024-06-01"},
    }
    assert (second["agent"], second["stop_reason"]) == ("ibrutinib", "progression")
    opened = answer.headers["location"].split("?")[0]
    assert opened.startswith("/encounters/")
    assert board.held not in opened
    board.decide(opened.rsplit("/", 1)[-1])
    corrections = (await board.get(f"{opened}/entries")).text
    assert "Madeup" not in corrections  # who the patient is is shown for a purpose and on record only


async def test_a_misread_donation_number_is_an_error_at_its_field(board: Board) -> None:
    answer = await board.enter(path_of(board, "collection"), {**FILLED["collection"], "din": "G1234 98 654321 J"})
    assert answer.status_code == 422
    assert re.search(r'id="f-din"[^>]*aria-invalid="true"', answer.text)
    whole = {**FILLED["collection"], "din": "G1234 98 654321 H"}
    assert (await board.enter(path_of(board, "collection"), whole)).status_code == 303
    assert board.last_event()["data"]["din"] == "G1234 98 654321 H"


async def test_what_was_typed_outlives_the_session(board: Board) -> None:
    path, before = path_of(board, "custody"), board.events()
    opened = (await board.get(path)).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', opened))
    typed = {"data.location": 'Lab 2 "left"', "data.lot": "LOT-9", "who": "A. Nurse"}
    board.http.cookies.clear()
    over = await board.http.post(path, data={**hidden, **typed})
    assert over.status_code == 401
    assert problems(over.text) == []
    assert "the text you typed is kept" in over.text
    kept = {
        name: unescape(text) for name, text in re.findall(r'name="((?:kept\.|next)[^"]*)" value="([^"]*)"', over.text)
    }
    assert "kept.csrf" not in kept
    wrong = await board.http.post("/sign-in", data={**kept, "token": "no-such-token"})
    assert (wrong.status_code, 'name="kept.data.lot" value="LOT-9"' in wrong.text) == (401, True)
    again = await board.http.post("/sign-in", data={**kept, "token": TOKEN})
    assert again.status_code == 200
    assert problems(again.text) == []
    fields = {
        name: unescape(text)
        for name, text in re.findall(r'name="([^"]+)" value="([^"]*)"', again.text.split("<main")[1])
    }
    shown = await board.http.post(path, data=fields)
    assert shown.status_code == 200
    assert 'value="Lab 2 &#34;left&#34;"' in shown.text
    assert 'value="LOT-9"' in shown.text
    assert board.events() == before
    assert f'name="form_id" value="{hidden["form_id"]}"' in shown.text


async def test_nothing_typed_elsewhere_is_kept(board: Board) -> None:
    board.http.cookies.clear()
    given = {"form_id": "0" * 32, "data.lot": "LOT-9"}
    answer = await board.http.post(path_of(board, "custody"), data=given, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "LOT-9" in answer.text) == (401, False)


async def test_the_event_says_what_was_typed_in_the_types_of_the_catalogue(board: Board) -> None:
    await board.enter(path_of(board, "toxicity"), FILLED["toxicity"])
    data = board.last_event()["data"]
    assert data["at"] == "2026-06-24T10:15:00-04:00"
    assert data["crs_grade"] == 0
    assert "icans_grade" not in data
    assert data["findings"] == {"temperature_c": 38.5, "hypotension": False}
    await board.enter(path_of(board, "coding"), FILLED["coding"])
    coded = board.last_event()["data"]
    assert coded["other_diagnoses"] == [{"code": "D70.1", "poa": "Y"}, {"code": "Z51.11"}]
    assert coded["procedures"] == [{"code": "XW033M7", "date": "2026-06-10"}]
    await board.enter(path_of(board, "disposition"), FILLED["disposition"])
    signed = board.last_event()["data"]
    assert (signed["signer"], signed["reason"]) == ("A. Nurse", "telephone call")
    await board.enter(path_of(board, "custody"), CUSTODY)
    assert board.last_event()["data"]["by"] == "A. Nurse"


@pytest.mark.parametrize("kind", sorted(EVIDENCE_VALUES))
async def test_evidence_asks_what_its_kind_documents(board: Board, kind: str) -> None:
    typed, expected = EVIDENCE_VALUES[kind]
    given = {"document": "DOC-7", "dated": "2026-06-01", **{f"values.{name}": text for name, text in typed.items()}}
    answer = await board.enter(path_of(board, "evidence"), given, kind)
    assert answer.status_code == 303, answer.text
    data = board.last_event()["data"]
    assert (data["kind"], data["document"], data.get("values")) == (kind, "DOC-7", expected)


@pytest.mark.parametrize("kind", sorted(EVIDENCE))
async def test_every_document_type_has_its_form(board: Board, kind: str) -> None:
    text = (await board.get(f"/encounters/{board.held}/forms/evidence?kind={kind}")).text
    assert problems(text) == []
    assert 'name="data.document"' in text


async def test_an_override_is_offered_for_what_may_be_overridden_and_opens_the_gate(board: Board) -> None:
    path = f"/encounters/{board.held}/forms/override"
    page = (await board.get(path)).text
    assert "apheresis.readiness.rems_facility" in page
    assert "apheresis.readiness.authorized_center" not in page
    hold = re.search(r'<option value="(apheresis\.readiness\.rems_facility[^"]*)"', page)
    assert hold
    answer = await board.enter(path, {"hold": hold[1], "role": "admin", "expires": "2026-09-01T12:00"})
    assert answer.status_code == 303
    board.decide(board.held)
    shown = unescape((await board.get(f"/encounters/{board.held}")).text)
    assert "Overridden by admin until 2026-09-01" in shown


async def test_errors_stand_beside_their_fields_and_nothing_is_kept(board: Board) -> None:
    before = board.events()
    path = path_of(board, "custody")
    answer = await board.enter(
        path, {**CUSTODY, "lot": "*bad*", "temperature.min": "9", "temperature.max": "2", "who": ""}
    )
    text = unescape(answer.text)
    assert answer.status_code == 422
    assert problems(answer.text) == []
    assert re.search(r'id="f-lot"[^>]*aria-invalid="true"', text)
    assert 'id="f-lot-error"' in text
    assert "max is below min" in text
    assert "enter your name" in text
    assert 'value="Lab 2"' in text
    assert '<a href="#f-lot">' in text
    assert re.search(r"<details[^>]* open", text)
    assert board.events() == before
    assert (await board.enter(path, {**CUSTODY, "at": ""})).status_code == 422
    assert (await board.enter(path, {**CUSTODY, "step": "teleported"})).status_code == 422


async def test_lines_of_coding_name_the_line_at_fault(board: Board) -> None:
    given = {**FILLED["coding"], "other_diagnoses": "D70.1 Y\nnonsense", "procedures": "XW033M7 2026-06-10 x"}
    text = unescape((await board.enter(path_of(board, "coding"), given)).text)
    assert "line 2: code:" in text
    assert "a line has too many parts; expected code, date" in text


async def test_what_was_typed_comes_back_escaped(board: Board) -> None:
    answer = await board.enter(path_of(board, "custody"), {**CUSTODY, "location": '"><script>x</script>', "lot": "*"})
    assert answer.status_code == 422
    assert "<script>x" not in answer.text


async def test_sending_a_form_twice_enters_it_once_and_changed_it_is_refused(board: Board) -> None:
    path = path_of(board, "custody")
    page = (await board.get(path)).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    given = {**hidden, "who": "x", "why": "y", **{f"data.{name}": text for name, text in CUSTODY.items()}}
    assert (await board.http.post(path, data=given)).status_code == 303
    before = board.events()
    changed = await board.http.post(path, data={**given, "data.location": "Lab 3"})
    assert changed.status_code == 409
    assert "Already submitted with different values" in changed.text
    assert board.events() == before


async def test_a_form_from_another_page_or_site_is_refused_and_on_record(board: Board) -> None:
    path, before = path_of(board, "custody"), board.events()
    good = {"csrf": await board.csrf(), "who": "x", "why": "y", **{f"data.{n}": t for n, t in CUSTODY.items()}}
    for fields, headers in (
        ({**good, "csrf": "stolen"}, {}),
        ({name: text for name, text in good.items() if name != "csrf"}, {}),
        (good, {"origin": "https://evil.example"}),
        (good, {"origin": "null"}),
        (good, {"sec-fetch-site": "cross-site"}),
    ):
        answer = await board.http.post(path, data=fields, headers=headers)
        assert answer.status_code == 403
    assert board.events() == before
    assert ("token", "POST /encounters/{encounter_id}/forms/{key}", "(gateway)") in board.audit()
    own = await board.http.post(path, data=good, headers={"origin": "http://gateway", "sec-fetch-site": "same-origin"})
    assert own.status_code == 303
    board.http.cookies.clear()
    assert (await board.http.post(path, data=good)).status_code == 401


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.FEED, Role.EMERGENCY)])
async def test_forms_are_for_the_roles_of_the_table(board: Board, role: Role) -> None:
    await board.sign_in(f"token-of-{role.value}")
    secret = await board.csrf("/")
    for key, form in FORMS.items():
        allowed = role in BOARD_TABLE[form.right]
        assert ((await board.get(path_of(board, key))).status_code == 200) is allowed, key
        if not allowed:
            assert (await board.http.post(path_of(board, key), data={"csrf": secret})).status_code == 403


async def test_a_scan_without_an_encounter_finds_it_by_its_identifier(board: Board) -> None:
    found = await board.enter("/forms/custody", {**CUSTODY, "coi_id": "COI-A", "bag_id": "BAG-A-1"})
    assert found.headers["location"] == f"/encounters/{board.whole}?sent=custody"
    strange = await board.enter("/forms/custody", {**CUSTODY, "coi_id": "COI-UNKNOWN", "bag_id": ""})
    assert strange.status_code == 202
    assert "saved, but not matched to an encounter yet" in strange.text


async def test_a_caller_cannot_enter_outside_its_facilities(board: Board) -> None:
    before = board.events()
    await board.sign_in("token-of-elsewhere")
    assert (await board.enter("/forms/certificate", FILLED["certificate"])).status_code == 403
    assert (await board.enter("/forms/custody", {**CUSTODY, "coi_id": "COI-A"})).status_code == 403
    assert board.events() == before


async def test_the_hours_that_the_clocks_skip_or_repeat_are_asked_about(board: Board) -> None:
    path = path_of(board, "custody")
    skipped = await board.enter(path, {**CUSTODY, "at": "2026-03-08T02:30"})
    assert "does not exist on that day" in skipped.text
    twice = await board.enter(path, {**CUSTODY, "at": "2026-11-01T01:30"})
    assert "2026-11-01T01:30:00-04:00" in twice.text
    assert twice.status_code == 422


async def test_a_form_that_is_too_large_is_refused(board: Board) -> None:
    assert (await board.http.post("/find", data={"reference": "x" * 70_000})).status_code == 413


SYMBOL = "]d20100371287219011" + "17271231" + "21BAG-S-1\x1d10LOT-S-1"


async def test_a_scanned_symbol_is_taken_apart_when_the_form_is_sent(board: Board) -> None:
    """Also without JavaScript: the reader typed the whole DataMatrix into one field."""
    given = {"step": "stored", "coi_id": "COI-D", "bag_id": SYMBOL, "at": "2026-06-24T10:15", "location": "Lab 2"}
    answer = await board.enter(path_of(board, "custody"), given)
    assert answer.status_code == 303, unescape(re.sub("<[^>]+>", " ", answer.text))[-900:]
    data = board.last_event()["data"]
    assert (data["bag_id"], data["lot"], data["ndc"]) == ("BAG-S-1", "LOT-S-1", "71287-219-01")


async def test_labels_that_disagree_and_damaged_symbols_are_errors_at_their_field(board: Board) -> None:
    before = board.events()
    given = {"step": "stored", "coi_id": "COI-D", "at": "2026-06-24T10:15", "location": "Lab 2"}
    differ = await board.enter(path_of(board, "custody"), {**given, "bag_id": SYMBOL, "lot": "LOT-OTHER"})
    assert differ.status_code == 422
    assert "scanned value differs" in error_of(differ.text, "lot")
    damaged = await board.enter(path_of(board, "custody"), {**given, "bag_id": SYMBOL.replace("19011", "19012")})
    assert "damaged" in error_of(damaged.text, "bag_id")
    other = await board.enter(path_of(board, "custody"), {**given, "bag_id": "=<S1234100"})
    assert "no identifier for this form" in error_of(other.text, "bag_id")
    assert board.events() == before


@pytest.mark.parametrize(
    ("key", "path", "late", "fine"),
    [
        ("custody", "at", "2027-06-24T10:15", "2026-06-24T10:15"),
        ("release", "released_at", "2026-06-26T08:00", "2026-06-20T08:00"),
        ("toxicity", "at", "2026-06-26T08:00", "2026-06-24T08:00"),
    ],
)
async def test_nothing_that_is_still_to_come_is_entered_as_done(
    board: Board, key: str, path: str, late: str, fine: str
) -> None:
    before = board.events()
    answer = await board.enter(path_of(board, key), {**FILLED[key], path: late})
    assert answer.status_code == 422
    assert "this is in the future" in error_of(answer.text, path)
    assert board.events() == before
    assert (await board.enter(path_of(board, key), {**FILLED[key], path: fine})).status_code == 303


async def test_a_document_date_is_not_in_the_future_and_an_expiration_not_in_the_past(board: Board) -> None:
    path = f"/encounters/{board.held}/forms/evidence"
    given = {"document": "DOC-NEXT", "values.status": "1"}
    tomorrow = await board.enter(path, {**given, "dated": "2026-06-26"}, kind="cns_status")
    assert "this is in the future" in error_of(tomorrow.text, "dated")
    assert (await board.enter(path, {**given, "dated": "2026-06-25"}, kind="cns_status")).status_code == 303
    over = await board.enter(path_of(board, "disposition"), {**FILLED["disposition"], "expires": "2026-06-24T10:00"})
    assert "this is in the past" in error_of(over.text, "expires")


async def test_a_transfer_requires_the_fields_of_the_rulebook_or_a_mark_that_they_are_not_known(
    board: Board,
) -> None:
    path, before = path_of(board, "custody"), board.events()
    receipt = {**CUSTODY, "step": "site_receipt", "lot": "LOT-1"}
    bare = await board.enter(path, receipt)
    assert bare.status_code == 422
    for field in ("seal_intact", "temperature-min", "accepted"):
        assert "required for this transfer" in error_of(bare.text, field)
    assert "<details open" in bare.text
    assert board.events() == before
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', bare.text))
    given = {f"data.{name}": text for name, text in receipt.items()}
    assert 'name="unknown"' in bare.text
    answer = await board.http.post(path, data={**hidden, **given, "who": "A", "why": "no logger", "unknown": "yes"})
    assert answer.status_code == 303
    assert "temperature" not in board.last_event()["data"]


async def test_two_people_check_at_the_bedside(board: Board) -> None:
    path = path_of(board, "custody")
    check = {**CUSTODY, "step": "bedside_check", "lot": "LOT-1"}
    assert "two different persons" in error_of((await board.enter(path, check)).text, "second_verifier")
    same = await board.enter(path, {**check, "second_verifier": "a. nurse "})
    assert "must be another person" in error_of(same.text, "second_verifier")
    assert (await board.enter(path, {**check, "second_verifier": "B. Nurse"})).status_code == 303


async def test_documents_have_their_names_and_limits_are_in_words(board: Board) -> None:
    path = f"/encounters/{board.held}/forms/evidence"
    assert ">CD19 flow cytometry</a>" in (await board.get(path)).text
    wrong = await board.enter(
        path, {"document": "DOC-1", "dated": "2026-06-01", "values.status": "4"}, kind="cns_status"
    )
    assert error_of(wrong.text, "values-status") == "must be at most 3"


async def test_documents_missing_for_a_gate_are_marked(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(parts: object, actor: object, encounter_id: str) -> Encounter:
        met = [("eligibility.cns_status", False), ("eligibility.ecog", True)]
        gates = [{"requirements": [{"key": key, "met": good} for key, good in met]}]
        return Encounter(encounter_id=encounter_id, view={"gates": gates, "holds": []}, facilities=[])

    monkeypatch.setattr("app.board.event_entry.encounter_for", lacking)
    shown = (await board.get(f"/encounters/{board.held}/forms/evidence")).text
    assert re.findall(r'kind=(\w+)">[^<]+</a> <span class="tag tag-shut">missing', shown) == ["cns_status"]


def error_of(text: str, path: str) -> str:
    found = re.search(rf'id="f-{path}-error">([^<]+)<', text)
    assert found, path
    return unescape(found.group(1))
