"""Logs of a process: one JSON object per line. A step has its action and references; a failure has class and place.

Messages of exceptions are never logged, since they may contain patient data, such as an invalid date of a record.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from importlib.metadata import version
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, ProcessorReturnValue, WrappedLogger
from temporalio import activity
from temporalio.runtime import LogForwardingConfig, LoggingConfig

from app.settings import LogLevel, Settings
from store.engine import without_password
from store.step_log import log_step


class SafeFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats every record as one line of JSON; exceptions by class and place only."""

    def __init__(self, process: str) -> None:
        before: list[Processor] = [
            _named,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _of_activity,
        ]
        super().__init__(
            foreign_pre_chain=before,
            processors=[
                self.remove_processors_meta,
                _failures,
                _ordered(process),
                structlog.processors.JSONRenderer(),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record; exceptions in the arguments are replaced by their class.

        Messages of the event loop repeat the exception after their first line, so only that line is kept.
        """
        if isinstance(record.args, tuple):
            record.args = tuple(_plain(one) for one in record.args)
        if record.name == "asyncio":
            record = logging.makeLogRecord(vars(record) | {"msg": record.getMessage().split("\n")[0], "args": ()})
        return super().format(record)


def _plain(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def _named(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Adds level and logger of a record, and the facts of a step."""
    record: logging.LogRecord | None = entry.get("_record")
    if record is None:
        return entry
    step = getattr(record, "facts", {})
    return {**entry, "level": record.levelname.lower(), "logger": record.name, **step}


def _of_activity(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Adds the workflow run of an activity, as in the Temporal UI."""
    if not activity.in_activity():
        return entry
    info = activity.info()
    where = {"activity": info.activity_type, "workflow": info.workflow_id, "run": info.workflow_run_id}
    again = {"attempt": info.attempt} if info.attempt > 1 else {}
    return {**entry, **where, **again}


def _failures(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    caught = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if caught is True else caught[1] if isinstance(caught, tuple) else caught
    return {**entry, "failure": class_and_place(error)} if error is not None else entry


def _ordered(process: str) -> Any:
    """Puts time, level, process and step first."""

    def ordered(_logger: WrappedLogger, _method: str, entry: EventDict) -> ProcessorReturnValue:
        first = {"time": entry.pop("time", None), "level": entry.pop("level", None), "process": process}
        return {**first, "step": entry.pop("event", ""), **entry}

    return ordered


def class_and_place(error: BaseException | None) -> str:
    """Returns class and place of an exception and of its causes."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def configure_logging(process: str, level: LogLevel = "info") -> None:
    """Sends every log line and fatal error of this process through `SafeFormatter` to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter(process))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for own in OWN:
        logging.getLogger(own).setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _of_activity,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    activity.logger.activity_info_on_message = False
    sys.excepthook = lambda _kind, error, _trace: died.critical("process.died", exc_info=error)
    threading.excepthook = lambda thread: died.critical("thread.died", exc_info=thread.exc_value)


def started(settings: Settings, **where: str) -> None:
    """Logs the start: version, server, database without its password, rulebook edition."""
    log_step(
        "process.started",
        version=version("cart-encounter"),
        temporal=settings.temporal_address,
        namespace=settings.temporal_namespace,
        database=without_password(settings.database),
        edition=settings.edition,
        **where,
    )


def core_log() -> LoggingConfig:
    """Returns a configuration that logs the core of the Temporal SDK in the same format."""
    lines = LogForwardingConfig(
        logging.getLogger("temporalio.core"), append_target_to_name=False, prepend_target_on_message=False
    )
    return LoggingConfig(LoggingConfig.default.filter, forwarding=lines)


OWN = ("cart", "activities", "app", "intake")
"""Loggers of this program; libraries log from level `warning`."""

died = logging.getLogger("app.process.logs")
