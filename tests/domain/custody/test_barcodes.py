"""Barcode input is parsed exactly or refused; a plain identifier is kept as it is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import ean

from domain.custody.barcodes import ScanError, is_symbol, read

PREFIXES = ("12345-678", "99999-111")
GS = "\x1d"


def gtin(ndc: str = "1234567801") -> str:
    body = f"003{ndc}"
    return body + ean.calc_check_digit(body)


FULL = {"ndc": "12345-678-01", "expires_on": "2027-12-31", "bag_id": "BAG7", "lot": "LOT9"}


@pytest.mark.parametrize(
    "text",
    [
        f"01{gtin()}1727123121BAG7{GS}10LOT9",
        f"]d201{gtin()}1727123121BAG7{GS}10LOT9",
        f"]d201{gtin()}1727123121BAG7␝10LOT9\r",
        f"01{gtin()}1727123121BAG7<GS>10LOT9{GS}",
        f"(01){gtin()}(17)271231(21)BAG7(10)LOT9",
    ],
)
def test_a_gs1_symbol_of_a_bag(text: str) -> None:
    assert is_symbol(text)
    assert dict(read(text, PREFIXES).values) == FULL


def test_an_isbt_128_symbol() -> None:
    text = "]d2=+04000=A99992612345600=<S1234100&>0273652359&,1LOT9"
    found = read(text, ())
    assert dict(found.values) == {"din": "A999926123456", "expires_on": "2027-12-31", "lot": "LOT9"}
    assert found.others == ("ISBT 128 =<",)
    assert dict(read("=A99992612345600", ()).values) == {"din": "A999926123456"}
    assert dict(read("=G12349865432177", ()).values) == {"din": "G123498654321"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"01{gtin()[:-1]}{(int(gtin()[-1]) + 1) % 10}10LOT9", "check digit"),
        (f"01{gtin()}17271399", "date"),
        (f"01{gtin('5555500001')}10LOT9", "no known product"),
        (f"01{gtin()}1727123121BAG710LOT9", "group separator"),
        ("=A9999261234", "cut off"),
        ("=G12349865432176", "check character of the donation number"),
        ("=>027366", "does not exist"),
        ("=>127001", "does not exist"),
        ("]d2HELLO", "neither"),
    ],
)
def test_an_unreliable_symbol_is_refused_with_a_fix_and_without_its_content(text: str, says: str) -> None:
    with pytest.raises(ScanError, match=says) as caught:
        read(text, PREFIXES)
    assert "LOT9" not in str(caught.value)


def test_two_products_with_one_beginning_are_not_guessed_between() -> None:
    with pytest.raises(ScanError, match="no known product"):
        read(f"01{gtin()}", ("12345-678", "1234-5678"))


@given(st.from_regex(r"[A-Z]{2,4}-?[A-Z0-9-]{0,20}", fullmatch=True))
def test_a_plain_identifier_is_not_a_symbol(text: str) -> None:
    assert not is_symbol(text)


PART = st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True)


@given(PART, PART, st.dates(date(2001, 1, 1), date(2049, 12, 31)))
def test_with_separators_every_content_comes_back(lot: str, bag: str, end: date) -> None:
    text = f"01{gtin()}17{end:%y%m%d}10{lot}{GS}21{bag}"
    assert dict(read(text, PREFIXES).values) == {
        "ndc": "12345-678-01",
        "expires_on": end.isoformat(),
        "lot": lot,
        "bag_id": bag,
    }


@given(PART, PART)
@example("00000000", "000000000000")
@example("00000000", "000000000010")
def test_without_separators_it_is_right_or_refused(lot: str, bag: str) -> None:
    """Two identifiers in a row are never read as one long one."""
    try:
        found = read(f"01{gtin()}10{lot}21{bag}", PREFIXES)
    except ScanError:
        return
    assert found.values.get("lot") == lot


@given(st.from_regex(r"(\(\d{2,4}\)|01[0-9]{14})[0-9A-Z\x1d()]{0,40}", fullmatch=True))
@example(f"01{gtin()}100000000000{GS}310X")
@example(f"01{gtin()}100000000000{GS}3100")
def test_arbitrary_content_is_at_most_refused(text: str) -> None:
    try:
        read(text, PREFIXES)
    except ScanError:
        return


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_julian_date_is_read_as_its_day(day: date) -> None:
    text = f"=>0{day:%y}{(day - date(day.year, 1, 1)) // timedelta(days=1) + 1:03}"
    assert read(text, ()).values["expires_on"] == day.isoformat()
