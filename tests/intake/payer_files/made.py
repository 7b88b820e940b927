"""835, 277CA and 999 made for a test: whole files that pass their guides, with what the test asks for in them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kit.files import SAMPLES

MEMBER = "NM1*QC*1*MADEUP*MORGAN****MI*1EG4TE5MK73~"


def claim(
    control: str,
    status: str = "1",
    charge: str = "1000",
    paid: str = "800",
    *lines: str,
    cas: str | None = None,
    patient: str = "",
) -> list[str]:
    """One CLP loop with its service lines; adjusted by `cas`, by contract where that is absent, or by its lines (empty)."""
    head = f"CLP*{control}*{status}*{charge}*{paid}*{patient}*MA*226{control[-9:]}*11*1**018*43.1828~"
    usual = [] if charge == paid else [f"CAS*CO*45*{_less(charge, paid)}~"]
    adjusted = usual if cas is None else [cas] if cas else []
    return [head, *adjusted, MEMBER, "DTM*232*20260801~", "DTM*233*20260816~", *lines]


def _less(one: str, other: str) -> str:
    return str(int(one) - int(other))


def remittance(
    *claims: Sequence[str],
    transfer: str,
    trace: str = "EFT0000007",
    plb: str = "",
    number: int = 105,
    day: str = "20260919",
) -> str:
    """A whole 835 over the claims; `transfer` is BPR02, `plb` one provider adjustment segment."""
    head, _, _ = (SAMPLES / "paid.835.x12").read_text().partition("CLP*")
    for old, new in (
        ("BPR*I*800*", f"BPR*I*{transfer}*"),
        ("EFT0000007", trace),
        ("DTM*405*20260919", f"DTM*405*{day}"),
    ):
        assert old in head
        head = head.replace(old, new)
    body = [head.rstrip(), *(segment for one in claims for segment in one), *([plb] if plb else [])]
    text = "\n".join(body) + "\n"
    count = text.count("~") - 2 + 1
    text += f"SE*{count}*0001~\nGE*1*105~\nIEA*1*000000105~\n"
    return (
        text.replace("000000105", f"{number:09d}")
        .replace("*105*X*", f"*{number}*X*")
        .replace("GE*1*105", f"GE*1*{number}")
    )


def refused_batch(interchange: int) -> str:
    """A 277CA that refuses a whole transmission at the receiver's level and lists no claim."""
    text = (SAMPLES / "rejected.277ca.x12").read_text()
    head, _, rest = text.partition("TRN*2*BATCH0007~")
    tail = rest.partition("SE*26*0001~")[2]
    return f"{head}TRN*2*{interchange:09d}~\nSTC*A3:24:41*20260902*U*1000~\nQTY*AA*1~\nAMT*YY*1000~\nSE*14*0001~{tail}"
