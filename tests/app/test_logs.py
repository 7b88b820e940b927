"""What a process writes of a failure: class and place, never the message; whoever logs it, and whatever it dies of."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from app.logs import told

CANARY = "Quetzalcoatl 1961-04-05"


def test_a_chain_of_exceptions_is_told_without_a_word_of_theirs() -> None:
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError as error:
        text = told(error)
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "test_logs.py" in text
    assert "Quetzalcoatl" not in text


def test_libraries_threads_and_a_dying_process_repeat_no_message() -> None:
    program = f"""
        import asyncio, logging, threading
        from app.logs import be_discreet
        be_discreet()
        def fail():
            raise ValueError({CANARY!r})
        try:
            fail()
        except ValueError as error:
            logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=True)
            logging.getLogger("uvicorn.error").error("caught %s", error, exc_info=error)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        fail()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("builtins.ValueError") == 4
    assert "Completing activity as failed" in done.stderr
    assert "caught ValueError" in done.stderr
    assert "Quetzalcoatl" not in done.stderr + done.stdout
