"""What a process writes: one JSON object a line; of a failure class and place, never the message, whoever logs it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from app.process.child_processes import OLDER_LOGS, rotate
from app.process.logs import class_and_place

CANARY = "Quetzalcoatl 1961-04-05"


def test_a_chain_of_exceptions_is_logged_without_their_messages() -> None:
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError as error:
        text = class_and_place(error)
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "test_logs.py" in text
    assert "Quetzalcoatl" not in text


def test_libraries_threads_and_a_dying_process_repeat_no_message_and_every_line_is_json() -> None:
    program = f"""
        import asyncio, logging, threading
        import structlog
        from store.step_log import log_step
        from app.process.logs import configure_logging
        configure_logging("worker")
        def fail():
            raise ValueError({CANARY!r})
        try:
            fail()
        except ValueError as error:
            logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=True)
            logging.getLogger("uvicorn.error").error("caught %s", error, exc_info=error)
            structlog.get_logger("intake.delivery").warning("delivery.failed", encounter="enc_1", exc_info=True)
        logging.getLogger("httpx").info("not logged")
        async def forget():
            asyncio.get_running_loop().create_future().set_exception(ValueError({CANARY!r}))
        asyncio.run(forget())
        log_step("event.accepted", event_id="evt_1", sequence=3, feed=None)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        fail()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Quetzalcoatl" not in done.stderr + done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["step"], line["level"]) for line in lines] == [
        ("Completing activity as failed", "warning"),
        ("caught ValueError", "error"),
        ("delivery.failed", "warning"),
        ("Future exception was never retrieved", "error"),
        ("event.accepted", "info"),
        ("thread.died", "critical"),
        ("process.died", "critical"),
    ]
    assert {line["process"] for line in lines} == {"worker"}
    failed = [line["failure"] for line in lines if "failure" in line]
    assert len(failed) == 6
    assert all(one.startswith("builtins.ValueError") for one in failed)
    step = {name: value for name, value in lines[4].items() if name not in ("time", "level", "process", "logger")}
    assert step == {"step": "event.accepted", "event_id": "evt_1", "sequence": 3}


def test_a_large_log_is_rotated_while_its_process_writes(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("a") as process:
        for turn in range(OLDER_LOGS + 3):
            assert not rotate(log, largest=10)
            process.write(f"turn {turn} and more\n")
            process.flush()
            assert rotate(log, largest=10)
        process.write("now\n")
    assert log.read_text() == "now\n"
    kept = sorted(tmp_path.glob("worker.log.*"))
    assert [path.read_text() for path in kept] == [f"turn {OLDER_LOGS + 2 - n} and more\n" for n in range(OLDER_LOGS)]
