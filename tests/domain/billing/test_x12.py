"""The 837 files: every claim passes the guide maps, its file matches it, and findings never show a value."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing.x12 import NotWritable, render, validate
from domain.billing.x12.bill_segments import same_bill
from domain.billing.x12.envelope import number, text
from tests.domain.billing import golden
from tests.domain.billing.alterations import REWRITTEN, Rewritten
from tests.domain.billing.golden import control, segments
from tests.domain.billing.stories import Story, b_all_inpatient, mcl_inpatient
from tests.kit.patient import identity
from tests.kit.site import site

PAT = identity("Müller-O'Neil", "Pat*")

FILES = list(golden.files())


def files(story: Story, **changes: object) -> dict[str, str]:
    payer = site().payer(story.claims()[0].payer)
    assert payer is not None
    return {claim.key: render(claim, PAT, site(), payer, control(**changes)) for claim in story.claims()}


def outpatient(payer: str = "medicare") -> Story:
    story = Story().referral(planned_setting="outpatient", coverage={"payer": payer, "member_id": "W1"}).authorization()
    story.collection().released().mcl_course().infused("outpatient").admitted(5, "ADM2").toxicity(5, 2).tocilizumab(5)
    return story.discharged(10, "ADM2").coded("ADM2", "A41.9", ("T80.82XA", "Y"), ("D89.832", "Y"))


def office() -> Story:
    story = Story().referral(coverage={"payer": "aetna", "member_id": "W1"}).authorization()
    story.collection(facility="st_mary_office", setting="office")
    return story.mcl_course(facility="st_mary_office", setting="office")


def treated_as_outpatient() -> Story:
    story = Story().referral().collection().released().mcl_course().infused("outpatient")
    return story.toxicity(4, 2).tocilizumab(4, setting="outpatient")


STORIES = {
    "mcl": mcl_inpatient,
    "b_all": b_all_inpatient,
    "outpatient": outpatient,
    "commercial": lambda: outpatient("aetna"),
    "office": office,
    "tocilizumab": treated_as_outpatient,
}


@pytest.mark.parametrize("name", STORIES)
def test_every_claim_passes_the_guide_maps(name: str) -> None:
    found = files(STORIES[name]())
    assert found
    assert {key: validate(file) for key, file in found.items()} == {key: [] for key in found}


def test_the_stay_is_in_the_segments_that_a_clearinghouse_checks() -> None:
    file = files(mcl_inpatient().toxicity(4, 3))["C/1"]
    assert segments(file, "CLM")[0][1:6] == ["ENC1-C1", "807686", "", "", "11:A:1"]
    assert ["DTP", "434", "RD8", "20260611-20260629"] in segments(file, "DTP")
    assert ["DTP", "435", "DT", "202606140700"] in segments(file, "DTP")
    information = [part for segment in segments(file, "HI") for part in segment[1:]]
    assert {"ABK:C8318:::::::Y", "DR:018", "BBR:XW033M7:D8:20260615", "BE:86:::424000", "ABF:D89833:::::::N"} <= set(
        information
    )
    assert ["SV2", "0891", "HC:Q2053", "742000", "UN", "1"] in segments(file, "SV2")
    assert ["LIN", "", "N4", "71287021901"] in segments(file, "LIN")
    assert segments(file, "NTE") == [["NTE", "ADD", "TECARTUS (BREXUCABTAGENE AUTOLEUCEL), LOT KTA0001"]]


def test_the_lines_add_up_to_the_claim() -> None:
    for file in files(outpatient()).values():
        assert sum(Decimal(line[3]) for line in segments(file, "SV2")) == Decimal(segments(file, "CLM")[0][2])


def test_the_authorization_number_is_sent_to_a_payer_that_issues_one_and_not_to_medicare() -> None:
    assert segments(files(outpatient("aetna"))["C/1"], "REF")[1] == ["REF", "G1", "PA123"]
    assert all(line[1] != "G1" for line in segments(files(outpatient())["C/1"], "REF"))


def test_an_office_claim_points_its_lines_at_the_diagnoses() -> None:
    file = files(office())["B/1"]
    assert segments(file, "CLM")[0][5] == "11:B:1"
    assert segments(file, "HI") == [["HI", "ABK:Z5111", "ABF:C8318"]]
    assert ["SV1", "HC:J9185:JZ", "425", "UN", "2", "", "", "1:2"] in segments(file, "SV1")


def test_shadow_mode_sets_the_test_indicator_and_a_replacement_names_what_it_replaces() -> None:
    shadow = files(mcl_inpatient())["C/1"]
    assert segments(shadow, "ISA")[0][15] == "T"
    live = files(mcl_inpatient(), test=False, frequency="7", replaces="ICN99")["C/1"]
    assert segments(live, "ISA")[0][15] == "P"
    assert segments(live, "CLM")[0][5] == "11:A:7"
    assert ["REF", "F8", "ICN99"] in segments(live, "REF")
    assert validate(live) == []


def test_a_long_remark_is_split_into_notes_of_eighty_characters() -> None:
    claim = mcl_inpatient().claim("C/1").model_copy(update={"remarks": "word " * 60})
    payer = site().payers[0]
    file = render(claim, PAT, site(), payer, control())
    assert len(segments(file, "NTE")) == 4
    assert validate(file) == []


@pytest.mark.parametrize("rewritten", REWRITTEN, ids=lambda r: r.what)
def test_a_broken_file_is_refused_without_naming_a_value(rewritten: Rewritten) -> None:
    file = files(mcl_inpatient())["C/1"]
    assert rewritten.old in file
    findings = validate(file.replace(rewritten.old, rewritten.new))
    assert any(rewritten.words in finding for finding in findings)
    assert not any(secret in finding for finding in findings for secret in ("1961", "ONEIL", "1EG4TE5MK73", "C8318"))


def test_text_that_is_not_x12_is_refused() -> None:
    assert validate("no file at all")


@given(st.text(max_size=80))
def test_no_text_can_break_out_of_its_element(value: str) -> None:
    assert not set(text(value)) & set("*~:^\n")


COLLECTION = mcl_inpatient().claim("A/1")


def named(**changes: str) -> str:
    return render(COLLECTION, replace(PAT, **{"given": "Pat", **changes}), site(), site().payers[0], control())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("charted", "written"),
    [
        ("Søren Łukasz", "SOREN LUKASZ"),
        ("Đặng Æsa", "DANG AESA"),
        ("Strauß", "STRAUSS"),
        ("O\u2019Neil\u2013Smith", "O'NEIL-SMITH"),
        ("de la Cruz", "DE LA CRUZ"),
        ("İpek ığdır", "IPEK IGDIR"),
    ],
)
def test_a_name_keeps_all_of_its_letters(charted: str, written: str) -> None:
    file = named(family=charted)
    assert segments(file, "NM1")[3][3] == written
    assert validate(file) == []


@pytest.mark.parametrize(
    "change", [{"family": "王"}, {"given": "Иван"}, {"member_id": "A*1"}, {"mrn": "M~1"}, {"mrn": "é"}]
)
def test_a_value_that_a_file_cannot_carry_is_refused_without_showing_it(change: dict[str, str]) -> None:
    with pytest.raises(NotWritable) as refused:
        named(**change)
    assert not any(value in str(refused.value) for value in change.values())


@pytest.mark.parametrize("hidden", ["\x00", "\x07", "\x1f", "\x85", "\u200e", "\u202e", "\u2066", "\u00ad", "\ufeff"])
def test_an_invisible_character_is_refused_and_never_a_blank(hidden: str) -> None:
    """A control character or a mark of direction in a name, a number or an address stops the file; in no file is it a blank."""
    for change in (
        {"family": f"O{hidden}Neil"},
        {"given": f"Pat{hidden}"},
        {"member_id": f"1EG4{hidden}5"},
        {"mrn": f"M{hidden}1"},
    ):
        with pytest.raises(NotWritable) as refused:
            named(**change)
        assert hidden not in str(refused.value)
    with pytest.raises(NotWritable, match="address"):
        named(address=replace(PAT.address, line=f"1{hidden}Elm"))  # type: ignore[arg-type]
    assert text(f"A{hidden}B") == "AB"


def test_free_text_shows_line_ends_and_tabs_as_one_blank() -> None:
    file = named(address=replace(PAT.address, line="1 Elm\r\n\tDoor 2"))  # type: ignore[arg-type]
    assert ["N3", "1 ELM DOOR 2"] in segments(file, "N3")
    with pytest.raises(NotWritable):
        named(family="O\nNeil")


def test_claims_that_cannot_be_rendered_are_compared_as_whole_documents() -> None:
    story = Story().referral(coverage={"payer": "aetna", "member_id": "W1"}).authorization("PA*1")
    claim = story.collection().claim("A/1")
    with pytest.raises(NotWritable):
        render(claim, PAT, site(), site().payers[1], control())
    assert same_bill(claim, claim, site())
    assert not same_bill(claim, claim.model_copy(update={"remarks": "other"}), site())


def test_numbers_of_a_person_go_out_as_they_are() -> None:
    file = named(member_id="w_12#3a", mrn="mrn-7/x")
    assert segments(file, "NM1")[3][9] == "w_12#3a"
    assert ["REF", "EA", "mrn-7/x"] in segments(file, "REF")
    assert validate(file) == []


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_name_is_whole_or_refused(family: str, given_name: str) -> None:
    try:
        file = named(family=family, given=given_name)
    except NotWritable:
        return
    assert file.count("~") == named().count("~")


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_amounts_have_no_exponent_and_keep_their_value(value: Decimal) -> None:
    assert Decimal(number(value)) == value
    assert "E" not in number(value)


@pytest.mark.parametrize(("name", "file"), FILES, ids=[name for name, _ in FILES])
def test_the_file_is_the_one_that_was_reviewed(name: str, file: str) -> None:
    assert (golden.FOLDER / name).read_text(encoding="ascii") == file, (
        "run python -m tests.domain.billing.golden and review"
    )
    assert validate(file) == []


def test_no_reviewed_file_is_left_over() -> None:
    assert {path.name for path in golden.FOLDER.glob("*.x12")} == {name for name, _ in FILES}
