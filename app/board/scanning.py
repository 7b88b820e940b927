"""Splits a scanned barcode into the fields of a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.board.fields import Field, FieldError
from domain.custody.barcodes import ScanError, is_symbol, read


def spread(
    inputs: Sequence[Field], given: Mapping[str, str], ndc_prefixes: Iterable[str]
) -> tuple[dict[str, str], list[FieldError]]:
    """Returns the texts with every barcode split into its fields, and the errors.

    A field with another value is an error and never overwritten: two labels disagree.
    """
    prefixes = tuple(ndc_prefixes)
    names = {one.path: one.name for one in inputs}
    places = {one.path.rsplit(".", 1)[-1]: one.path for one in inputs} | {path: path for path in names}
    result, errors = dict(given), []
    symbols = [one for one in inputs if one.scan and is_symbol(given.get(one.name, ""))]
    for one in symbols:
        result[one.name] = ""
    for one in symbols:
        try:
            scan = read(given[one.name], prefixes)
        except ScanError as error:
            result[one.name] = given[one.name]
            errors.append(FieldError(one.path, str(error)))
            continue
        mine = {places[part]: value for part, value in scan.values.items() if part in places}
        if not mine:
            carries = ", ".join((*sorted(scan.values), *scan.others)) or "nothing"
            errors.append(FieldError(one.path, f"this barcode has no identifier for this form (it contains {carries})"))
        for path, value in mine.items():
            known = result.get(names[path], "").strip()
            if known and known != value:
                errors.append(FieldError(path, "the scanned value differs; compare the labels, then clear one value"))
            else:
                result[names[path]] = value
    return result, errors
