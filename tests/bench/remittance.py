"""A remittance of a whole hospital: 32 MB, 20,000 claims, two of them ours. Does the gateway answer others meanwhile?

    python -m tests.bench.remittance [--claims 20000] [--megabytes 31.9]

A real gateway serves a SQLite file on a socket of this machine; the file is posted to `/v1/replies` while other calls are
made. Ends with 1 when a claim of ours is not posted, memory grows by more than 64 MB, or the 99th percentile of the other
calls is over its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn

from app.api.access import Access, digest
from app.api.actors import Actor
from app.process.gateway import create_gateway
from domain.site import parse_site
from intake.inbox.receive import receive
from store.engine import Database
from store.keys import create_keyring
from store.tables import ClaimVersion
from tests.kit import events as e

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-the-measurement"
OURS = ("CE0000000042", "CE0000000043")
MOST_MEGABYTES = 64.0
P99_SECONDS = 0.5
EVERY_SECONDS = 0.05


def remittance(claims: int, size: int) -> bytes:
    """One transaction over so many claims, filled with service lines up to a size."""
    line = "SVC*HC:J9185*100*80**6~DTM*472*20260801~CAS*CO*45*20~REF*6R*{0:09d}~AMT*B6*80~"
    head, _, _ = (ROOT / "tests/samples/paid.835.x12").read_text().partition("CLP*")
    fixed = (
        "CLP*HOSPITAL{0:08d}*1*{1}*{2}*0*MA*226{0:010d}*11*1~NM1*QC*1*MADEUP*MORGAN****MI*1EG4TE5MK73~DTM*232*20260801~"
    )
    lines = max(1, round((size / claims - len(fixed) - 12) / (len(line) + 2)))
    parts = []
    for number in range(claims):
        control = OURS[number // (claims // 2)] if number in (claims // 4, claims * 3 // 4) else None
        text = fixed.format(number, 100 * lines, 80 * lines)
        parts.append(text.replace(f"HOSPITAL{number:08d}", control) if control else text)
        parts += [line.format(number * 100 + index) for index in range(lines)]
    body = head.replace("\n", "").replace("BPR*I*800*", f"BPR*I*{80 * lines * claims}*") + "".join(parts)
    count = body.count("~") - 2 + 1
    return f"{body}SE*{count}*0001~GE*1*105~IEA*1*000000105~".encode()


def serve(directory: Path, port: int) -> None:
    """A gateway with one encounter and two claims, of a house whose remittances all come here."""
    db = Database(f"sqlite:///{directory / 'encounters.db'}")
    db.migrate()
    keys = create_keyring(directory / "keys.json")
    encounter = receive(db, keys, e.referral(), e.NOW, "bench").encounter_id
    assert encounter
    with db.write() as session:
        for version, control in enumerate(OURS, start=1):
            session.add(claim(encounter, version, control))
    site = parse_site((ROOT / "deploy" / "site.example.toml").read_text())
    api = create_gateway(
        db=db,
        keys=keys,
        access=Access({digest(TOKEN): Actor("bench")}),
        site=site.model_copy(update={"whole_house_remittances": True}),
    )
    uvicorn.run(api, host="127.0.0.1", port=port, log_config=None, access_log=False)


def claim(encounter: str, version: int, control: str) -> ClaimVersion:
    return ClaimVersion(
        encounter_id=encounter,
        letter="C",
        ordinal=1,
        version=version,
        content_hash="h",
        state="transmitted",
        form="UB-04",
        payer="medicare",
        total=1000,
        document={},
        sequence=1,
        rulebook_digest="d",
        edition="current",
        built_at=e.NOW,
        control_number=control,
    )


def processes(pid: int) -> Iterator[int]:
    """The gateway and the processes that read for it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)


def memory(pid: int, what: str) -> float:
    """Megabytes: VmRSS of now, VmHWM the highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(what))) / 1024


async def measure(port: int, pid: int, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600) as http:
        while True:
            try:
                await http.get("/livez")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.2)
        small = remittance(4, 2000).replace(b"EFT0000007", b"EFT0000001").replace(b"CE00000000", b"HOSPITAL99")
        await http.post("/v1/replies", content=small)  # the process that reads is there, and everything is imported
        quiet = await others(http, asyncio.create_task(asyncio.sleep(5)))
        before = {one: memory(one, "VmRSS") for one in processes(pid)}
        for one in before:
            Path(f"/proc/{one}/clear_refs").write_text("5")
        started = time.perf_counter()
        posted = asyncio.create_task(http.post("/v1/replies", content=body))
        busy = await others(http, posted)
        seconds = time.perf_counter() - started
        answer = posted.result()
        grown = {one: memory(one, "VmHWM") - was for one, was in before.items()}
    receipts = answer.json().get("receipts", [])
    accepted = [one["disposition"] for one in receipts]
    p99 = statistics.quantiles(busy, n=100)[98]
    figures = {
        "megabytes": round(len(body) / 1024 / 1024, 1),
        "answer": answer.status_code,
        "receipts": accepted,
        "passed_over": answer.json().get("passed_over"),
        "departures": answer.json().get("departures"),
        "seconds": round(seconds, 1),
        "gateway_grew_mb": round(grown[pid], 1),
        "reader_grew_mb": [round(value, 1) for one, value in grown.items() if one != pid],
        "others_quiet_p99_ms": round(statistics.quantiles(quiet, n=100)[98] * 1000, 1),
        "others": len(busy),
        "others_p50_ms": round(statistics.median(busy) * 1000, 1),
        "others_p99_ms": round(p99 * 1000, 1),
        "others_max_ms": round(max(busy) * 1000, 1),
    }
    print(json.dumps(figures, indent=1))
    fine = accepted == ["accepted", "accepted"] and sum(grown.values()) <= MOST_MEGABYTES and p99 <= P99_SECONDS
    return 0 if fine else 1


async def others(http: httpx.AsyncClient, until: asyncio.Future[object]) -> list[float]:
    """What other callers wait while something goes on."""
    waited = []
    while not until.done():
        started = time.perf_counter()
        answer = await http.get("/v1/encounters")
        waited.append(time.perf_counter() - started)
        assert answer.status_code == 200
        await asyncio.sleep(EVERY_SECONDS)
    return waited


def main() -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claims", type=int, default=20_000)
    parser.add_argument("--megabytes", type=float, default=31.9)
    parser.add_argument("--port", type=int, default=18941)
    parser.add_argument("--serve", type=Path)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
        return 0
    body = remittance(options.claims, int(options.megabytes * 1024 * 1024))
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.remittance", "--serve", directory, "--port", str(options.port)]
        server = subprocess.Popen(command, cwd=ROOT)
        try:
            return asyncio.run(measure(options.port, server.pid, body))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
