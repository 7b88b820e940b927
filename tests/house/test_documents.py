"""The comparison of generated documents finds what is out of date and what is missing, and takes neither for the other."""

from __future__ import annotations

from tests.kit.documents import incomplete, out_of_date

WRITTEN = """# Page

## Claims

| code | meaning |
|---|---|
| a | one |
| b | two |
"""


def test_an_addition_leaves_what_is_written_up_to_date_and_is_named_as_missing() -> None:
    made = WRITTEN.replace("| b | two |\n", "| b | two |\n| c | three |\n") + "\n## Payers\n"
    assert out_of_date(WRITTEN, made) == []
    assert incomplete(WRITTEN, made) == ["Page / Claims: | c | three |", "Page / Payers: ## Payers"]


def test_a_change_a_removal_and_another_order_are_out_of_date() -> None:
    assert out_of_date(WRITTEN, WRITTEN.replace("two", "2")) == ["Page / Claims: | b | two |"]
    assert out_of_date(WRITTEN, WRITTEN.replace("| a | one |\n", "")) == ["Page / Claims: | a | one |"]
    assert out_of_date(WRITTEN, WRITTEN.replace("| a | one |\n| b | two |", "| b | two |\n| a | one |")) != []
    assert out_of_date(WRITTEN, WRITTEN) == incomplete(WRITTEN, WRITTEN) == []
