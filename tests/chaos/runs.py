"""The product's own workflow code on a small clockwork: what a Temporal server keeps, without one.

State, timers and unanswered activities of every run outlive each product process, as they do on a server; an activity is
tried until it succeeds or its policy ends. Time stands still until it is moved. Replay is not played here: the running stacks
and `tests/replay` do that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError, RetryState
from temporalio.workflow._context import _Runtime
from temporalio.workflow._definition import _Definition

from workflows.changes import is_written

CONVERTER = pydantic_data_converter.payload_converter
LONG = 40
"""Activities of one run until it is asked to continue as new: low, so that stories do."""


class Continued(BaseException):
    """The run goes on as a new one."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self.arguments = arguments


@contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    before = asyncio.events._get_running_loop()
    asyncio.events._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio.events._set_running_loop(before)


class _Loop(asyncio.BaseEventLoop):
    """An event loop without sockets, turned by hand."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = SimpleNamespace(select=lambda timeout: [], close=lambda: None)

    def _process_events(self, event_list: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def turn(self) -> None:
        with _running(self):
            while self._ready:  # type: ignore[attr-defined]
                self._run_once()  # type: ignore[attr-defined]


@dataclass
class Pending:
    """An activity without an answer."""

    run: Run
    name: str
    arguments: tuple[Any, ...]
    policy: Any
    answer: asyncio.Future[Any]
    local: bool


@dataclass
class Timer:
    when: datetime
    future: asyncio.Future[Any]
    title: str = ""


class Run(_Runtime):
    """One workflow under one id."""

    def __init__(self, runs: Runs, cls: type, name: str, arguments: tuple[Any, ...], number: int = 1) -> None:
        super().__init__()
        self.runs, self.cls, self.name, self.number = runs, cls, name, number
        self.definition = _Definition.must_from_class(cls)
        self.loop = _Loop()
        _Runtime.set_on_loop(self.loop, self)
        self.conditions: list[tuple[Callable[[], bool], asyncio.Future[Any]]] = []
        self.timers: list[Timer] = []
        self.activities, self.details, self.latest = 0, "", runs.now
        takes = getattr(cls.__init__, "__temporal_workflow_init", False)
        self.instance = cls(*arguments) if takes else cls()
        self.main = self.loop.create_task(self.definition.run_fn(self.instance, *arguments))

    @property
    def run_id(self) -> str:
        return f"{self.name}#{self.number}"

    @property
    def closed(self) -> bool:
        return self.main.done()

    def turn(self) -> None:
        """Go on until nothing can without an answer, a signal or time.

        Raises:
            Whatever the workflow's own code raises.
        """
        while True:
            self.loop.turn()
            met = [pair for pair in self.conditions if pair[1].done() or pair[0]()]
            if not met:
                break
            for pair in met:
                self.conditions.remove(pair)
                if not pair[1].done():
                    pair[1].set_result(None)
        self.timers = [timer for timer in self.timers if not timer.future.done()]
        if self.main.done():
            error = self.main.exception()
            if isinstance(error, Continued):
                self.runs.continued(self, error.arguments)
            elif error is not None:
                raise error

    def update(self, name: str, argument: Any) -> Any:
        """The dynamic update of an encounter; returns its answer."""
        handler = self.definition.updates[None]
        raw = [RawValue(CONVERTER.to_payload(argument))]
        with _running(self.loop):
            if handler.validator:
                handler.validator(self.instance, name, raw)
        task = self.loop.create_task(handler.fn(self.instance, name, raw))
        self.loop.turn()
        return task.result()

    def signal(self, name: str, *arguments: Any) -> None:
        self.definition.signals[name].fn(self.instance, *arguments)

    # What the workflow's code asks of its server.

    def workflow_time_ns(self) -> int:
        # As the SDK's core keeps it: within a run time never goes back.
        self.latest = max(self.latest, self.runs.now + self.runs.skew)
        return int(self.latest.timestamp() * 1_000_000) * 1000

    def workflow_info(self) -> Any:
        return SimpleNamespace(
            is_continue_as_new_suggested=self.workflow_is_continue_as_new_suggested,
            get_current_history_length=lambda: self.activities * 6,
            workflow_id=self.name,
            run_id=self.run_id,
            attempt=1,
        )

    def workflow_is_continue_as_new_suggested(self) -> bool:
        return self.activities >= LONG

    def workflow_continue_as_new(self, *args: Any, **_options: Any) -> Any:
        raise Continued(args)

    def workflow_all_handlers_finished(self) -> bool:
        return True

    def workflow_payload_converter(self) -> Any:
        return CONVERTER

    def workflow_patch(self, id: str, *, deprecated: bool, **_more: Any) -> bool:
        return is_written(id)

    def workflow_is_replaying(self) -> bool:
        return False

    def workflow_upsert_search_attributes(self, attributes: Any, **_more: Any) -> None:
        return

    def workflow_set_current_details(self, details: str) -> None:
        self.details = details

    async def workflow_wait_condition(
        self, fn: Callable[[], bool], *, timeout: float | None = None, timeout_summary: str | None = None, **_more: Any
    ) -> None:
        if fn():
            return
        future = self.loop.create_future()
        self.conditions.append((fn, future))
        if timeout is not None:
            self.timers.append(Timer(self.runs.now + timedelta(seconds=timeout), future, timeout_summary or ""))
        await future

    async def workflow_sleep(self, duration: float, *, summary: str | None = None, **_more: Any) -> None:
        future = self.loop.create_future()
        self.timers.append(Timer(self.runs.now + timedelta(seconds=duration), future, summary or ""))
        try:
            await future
        except TimeoutError:
            return

    def workflow_start_activity(self, activity: Any, *args: Any, **options: Any) -> Any:
        return self._started(activity, args, options, local=False)

    def workflow_start_local_activity(self, activity: Any, *args: Any, **options: Any) -> Any:
        return self._started(activity, args, options, local=True)

    def _started(self, activity: Any, arguments: tuple[Any, ...], options: dict[str, Any], *, local: bool) -> Any:
        self.activities += 1
        future = self.loop.create_future()
        self.runs.pending.append(Pending(self, activity, arguments, options.get("retry_policy"), future, local))

        async def answered() -> Any:
            return await future

        return self.loop.create_task(answered())


Run.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]

Perform = Callable[[Pending], Any]


class Exhausted(Exception):
    """An activity failed as often as its policy allows."""


@dataclass
class Runs:
    """Every run, the clock, and the activities that wait for a worker."""

    now: datetime
    types: dict[str, type]
    skew: timedelta = timedelta(0)
    running: dict[str, Run] = field(default_factory=dict)
    pending: deque[Pending] = field(default_factory=deque)

    def start(self, kind: str, name: str, *arguments: Any) -> Run:
        """The run of this id; a new one where none runs."""
        run = self.running.get(name)
        if run is None or run.closed:
            number = 1 if run is None else run.number + 1
            run = self.running[name] = Run(self, self.types[kind], name, arguments, number)
            run.turn()
            run = self.running[name]
        return run

    def continued(self, run: Run, arguments: tuple[Any, ...]) -> None:
        self.running[run.name] = Run(self, run.cls, run.name, arguments, run.number + 1)

    def work(self, perform: Perform) -> None:
        """Until every run waits for time or news."""
        while True:
            for run in list(self.running.values()):
                run.turn()
            if not self.pending:
                if any(run.loop._ready for run in self.running.values()):  # type: ignore[attr-defined]
                    continue
                return
            one = self.pending.popleft()
            try:
                one.answer.set_result(perform(one))
            except Exhausted as error:
                failed = ActivityError(
                    str(error),
                    scheduled_event_id=0,
                    started_event_id=0,
                    identity="",
                    activity_type=one.name,
                    activity_id="",
                    retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
                )
                failed.__cause__ = error
                one.answer.set_exception(failed)

    def next_timer(self, until: datetime, without: frozenset[str] = frozenset()) -> Timer | None:
        timers = [
            timer
            for run in self.running.values()
            if run.name not in without and not run.closed
            for timer in run.timers
            if timer.when <= until
        ]
        return min(timers, key=lambda timer: timer.when, default=None)

    def fire(self, timer: Timer) -> None:
        self.now = max(self.now, timer.when)
        if not timer.future.done():
            timer.future.set_exception(TimeoutError())

    def open(self) -> dict[str, Run]:
        return {name: run for name, run in self.running.items() if not run.closed}


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
