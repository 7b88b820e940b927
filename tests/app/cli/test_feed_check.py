"""`cart-encounter feed check`: the first tool of an integrator. It says what would become of samples and stores nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import feed
from app.cli.main import cli

FIXTURES = Path(__file__).parents[2] / "fixtures" / "hl7"
DEPLOY = Path(__file__).parents[3] / "deploy"
CANCELLATION = FIXTURES / "SIU_S15" / "without-a-type-by-the-placer-s-number"


def checked(*words: str) -> tuple[int, list[str]]:
    mapping = ("--mapping", str(DEPLOY / "hl7.example.toml"), "--site", str(DEPLOY / "site.example.toml"))
    result = CliRunner().invoke(cli, ["feed", "check", *words, *mapping])
    return result.exit_code, result.output.splitlines()


def test_each_message_of_a_directory_is_named_with_its_outcome_and_departures(tmp_path: Path) -> None:
    code, lines = checked(str(CANCELLATION))
    assert code == 0
    booked, cancelled = lines[:2]
    assert ("before-1:1" in booked, "cart.appointment.booked" in booked) == (True, True)
    assert "cart.appointment.cancelled" in cancelled, "the booking before it is known to it"
    assert cancelled.endswith("departs: appointment_type_missing")
    assert "2 messages" in lines
    assert "1 other files of the directories hold no message of a format that is read here" in lines
    assert list(tmp_path.iterdir()) == []


def test_what_would_be_refused_or_need_work_ends_with_one_and_is_all_that_quiet_lists() -> None:
    code, lines = checked(str(FIXTURES / "SIU_S12"), "--quiet")
    assert code == 1
    listed = [line for line in lines if line.startswith(str(FIXTURES))]
    assert listed
    assert all("refused" in line or "quarantined" in line for line in listed)


def test_no_value_of_a_message_is_shown() -> None:
    _, lines = checked(str(FIXTURES))
    assert not any("Sample" in line or "M-1" in line.split("  ", 1)[-1] for line in lines)


def test_a_file_that_holds_no_message_or_is_not_there_ends_with_two(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("nothing")
    assert checked(str(tmp_path / "notes"))[0] == 2
    assert checked(str(tmp_path / "none"))[0] == 2
    assert checked(str(tmp_path))[0] == 2


def test_a_long_run_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PROGRESS_SECONDS", 0.0)
    _, lines = checked(str(CANCELLATION))
    assert any(line.startswith("1 of 3 files, 1 messages") for line in lines)


def test_playing_a_feed_keeps_its_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["feed", str(tmp_path / "none.yaml"), "--anchor", "2026-01-01"])
    shown = re.sub(r"[\s│]", "", result.output)
    assert (result.exit_code, "none.yaml:Nosuchfile" in shown) == (2, True)
    result = CliRunner().invoke(cli, ["feed", "--anchor", "yesterday", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2


FHIR = FIXTURES.parent / "fhir"


def test_fhir_resources_are_known_to_those_after_them_and_departures_are_named() -> None:
    code, lines = checked(str(FHIR / "Encounter_finished" / "completed-of-r5"))
    assert code == 0
    assert [line.split(":1 ", 1)[1].split()[1] for line in lines[:3]] == [
        "cart.appointment.booked",
        "cart.admission.started",
        "cart.admission.started",
    ]
    assert lines[2].endswith("departs: r5_form")
    code, lines = checked(str(FHIR / "Appointment_cancelled" / "with-another-type"))
    assert (code, "cart.appointment.cancelled" in lines[1]) == (0, True)


def test_every_fhir_fixture_is_checked_and_no_value_is_shown() -> None:
    code, lines = checked(str(FHIR))
    assert code == 1
    assert not any("F-MRN" in line or "Sample" in line for line in lines)
    assert not any("refused" in line for line in lines if "by-a-header-of-medplum" not in line and ":1 " in line)


@pytest.mark.parametrize(
    ("fixture", "code", "shown"),
    [
        ("277ca-rejected-separator-gt", 0, ("277CA", "cart.claim.acknowledged", "rejected (")),
        ("277ca-accepted", 0, ("277CA", "cart.claim.acknowledged", "accepted")),
        ("835-paid", 0, ("835", "cart.claim.remitted")),
        ("835-without-payer-contact-and-address", 0, ("cart.claim.remitted", "departs: ")),
        ("835-does-not-balance", 1, ("refused",)),
        ("277ca-torn", 1, ("refused",)),
    ],
)
def test_a_file_of_payer_responses_is_checked_too(fixture: str, code: int, shown: tuple[str, ...]) -> None:
    found, lines = checked(str(FIXTURES.parent / "x12" / fixture / "message"))
    assert found == code, lines
    assert any(all(word in line for word in shown) for line in lines), lines
