"""What a process writes: one JSON object a line. A step says what was done to which reference; a failure, where and of
which class, never its message, which may hold a value of a patient.

Libraries log whole exceptions with their messages: a date that cannot be read, the key that is missing from a record.
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
from store.step_log import tell


class Discreet(structlog.stdlib.ProcessorFormatter):
    """Every record as one line of JSON; of exceptions their classes and places."""

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
                _begun_with(process),
                structlog.processors.JSONRenderer(),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Exceptions among the arguments of a message go by their class, too.

        The loop's own complaints repeat the exception in the lines beneath the first.
        """
        if isinstance(record.args, tuple):
            record.args = tuple(_plain(one) for one in record.args)
        if record.name == "asyncio":
            record = logging.makeLogRecord(vars(record) | {"msg": record.getMessage().split("\n")[0], "args": ()})
        return super().format(record)


def _plain(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def _named(_logger: WrappedLogger, _method: str, said: EventDict) -> EventDict:
    """Level and logger of a record, and the facts of a step."""
    record: logging.LogRecord | None = said.get("_record")
    if record is None:
        return said
    step = getattr(record, "facts", {})
    return {**said, "level": record.levelname.lower(), "logger": record.name, **step}


def _of_activity(_logger: WrappedLogger, _method: str, said: EventDict) -> EventDict:
    """Which run a line of an activity belongs to: the Temporal UI shows it under this id."""
    if not activity.in_activity():
        return said
    info = activity.info()
    where = {"activity": info.activity_type, "workflow": info.workflow_id, "run": info.workflow_run_id}
    again = {"attempt": info.attempt} if info.attempt > 1 else {}
    return {**said, **where, **again}


def _failures(_logger: WrappedLogger, _method: str, said: EventDict) -> EventDict:
    caught = said.pop("exc_info", None)
    error = sys.exc_info()[1] if caught is True else caught[1] if isinstance(caught, tuple) else caught
    return {**said, "failure": told(error)} if error is not None else said


def _begun_with(process: str) -> Any:
    """Time, level, process and step first: what a reader looks for."""

    def begun(_logger: WrappedLogger, _method: str, said: EventDict) -> ProcessorReturnValue:
        first = {"time": said.pop("time", None), "level": said.pop("level", None), "process": process}
        return {**first, "step": said.pop("event", ""), **said}

    return begun


def told(error: BaseException | None) -> str:
    """Class and place of an exception and of what caused it."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def be_discreet(process: str, level: LogLevel = "info") -> None:
    """Let everything that this process logs or dies of pass through `Discreet`, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(process))
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
    """One line of what began to serve: version, server, database without its password, rulebook edition."""
    tell(
        "process.started",
        version=version("cart-encounter"),
        temporal=settings.temporal_address,
        namespace=settings.temporal_namespace,
        database=without_password(settings.database),
        edition=settings.edition,
        **where,
    )


def core_log() -> LoggingConfig:
    """What the core of the Temporal SDK says, as lines like all others instead of its own coloured ones."""
    lines = LogForwardingConfig(
        logging.getLogger("temporalio.core"), append_target_to_name=False, prepend_target_on_message=False
    )
    return LoggingConfig(LoggingConfig.default.filter, forwarding=lines)


OWN = ("cart", "activities", "app", "intake")
"""Loggers of this program; what libraries say counts from `warning` on."""

died = logging.getLogger("app.process.logs")
