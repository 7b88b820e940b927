"""The points of a product process at which a fault can strike: each await, statement, commit, file operation and call.

One seam for each sort: tasks step through their coroutines here, the database driver's calls pass here, and the functions of
`os` that write. Points are numbered in the order in which they are passed, which is the same in every run of a story.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

Strike = Callable[[Any], None]
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Points:
    """Counts the points that a process passes, and strikes at one of them.

    Attributes:
        labels: of every point passed, "operation|class|detail".
        operation: what the process is asked to do now.
    """

    def __init__(self, home: Path) -> None:
        self.home = str(home)
        self.labels: list[str] = []
        self.operation = "start"
        self.armed: int | None = None
        self.strike: Strike = lambda _subject: None
        self.struck = False
        self.counting = False

    def hit(self, sort: str, detail: str = "", subject: Any = None) -> None:
        """Pass a point; the fault strikes here when it is the armed one."""
        if not self.counting:
            return
        self.labels.append(f"{self.operation}|{sort}|{detail}")
        if self.armed == len(self.labels) - 1:
            self.struck = True
            self.strike(subject)

    def watch_database(self, engine: Engine) -> None:
        """Statements before they are sent, commits before and after."""
        dialect = engine.dialect
        execute, many, plain, commit = (
            dialect.do_execute,
            dialect.do_executemany,
            dialect.do_execute_no_params,
            dialect.do_commit,
        )

        def passing(statement: str) -> None:
            word = statement.lstrip().split(None, 1)[0].upper()
            sort = "write" if word in WRITES else "begin" if word == "BEGIN" else "read" if word == "SELECT" else ""
            if sort:
                words = statement.split()
                self.hit(sort, words[2 if word in ("INSERT", "DELETE") else 1] if sort == "write" else "")

        def executed(cursor: Any, statement: str, *rest: Any, **named: Any) -> Any:
            passing(statement)
            return execute(cursor, statement, *rest, **named)

        def executed_many(cursor: Any, statement: str, *rest: Any, **named: Any) -> Any:
            passing(statement)
            return many(cursor, statement, *rest, **named)

        def executed_plain(cursor: Any, statement: str, *rest: Any, **named: Any) -> Any:
            passing(statement)
            return plain(cursor, statement, *rest, **named)

        def committed(connection: Any) -> None:
            writing = connection.dbapi_connection.in_transaction
            if writing:
                self.hit("commit")
            commit(connection)
            if writing:
                self.hit("committed")

        dialect.do_execute, dialect.do_executemany = executed, executed_many  # type: ignore[method-assign,assignment]
        dialect.do_execute_no_params, dialect.do_commit = executed_plain, committed  # type: ignore[method-assign,assignment]

    def watch_files(self) -> None:
        """What writes files or names under the home directory, before and after."""
        for name in ("open", "mkdir", "link", "replace", "rename", "unlink", "remove", "truncate"):
            self._watch_name(os, name)
        for module in (io, __import__("builtins")):
            self._watch_name(module, "open")
        fsync = os.fsync

        def synced(descriptor: Any) -> None:
            self.hit("fsync", "", descriptor)
            fsync(descriptor)
            self.hit("fsynced")

        os.fsync = synced

    def _watch_name(self, module: Any, name: str) -> None:
        plain = getattr(module, name)

        def watched(path: Any, *rest: Any, **named: Any) -> Any:
            if not self.counting or isinstance(path, int) or not self._ours(path) or not _writes(name, rest, named):
                return plain(path, *rest, **named)
            self.hit("file", name)
            answer = plain(path, *rest, **named)
            self.hit("filed", name)
            return answer

        setattr(module, name, watched)

    def _ours(self, path: Any) -> bool:
        return os.fsdecode(path).startswith(self.home)

    def watch_awaits(self) -> None:
        """Every resumption of every task, on every event loop of this process."""
        asyncio.set_event_loop_policy(_Policy(self))


def _writes(name: str, rest: tuple[Any, ...], named: dict[str, Any]) -> bool:
    if name != "open":
        return True
    mode = rest[0] if rest else named.get("flags", named.get("mode", "r"))
    if isinstance(mode, int):
        return bool(mode & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return any(letter in mode for letter in "wax+")


class _Policy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, points: Points) -> None:
        super().__init__()
        self._points = points

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()

        def task(of: Any, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
            return asyncio.Task(Stepping(self._points, coroutine), loop=of, **named)

        loop.set_task_factory(task)
        return loop


class Stepping(Coroutine[Any, Any, Any]):
    """A coroutine that passes a point at each resumption. An error that strikes is raised at the await."""

    def __init__(self, points: Points, inner: Coroutine[Any, Any, Any]) -> None:
        self._points, self._inner = points, inner
        self._name = getattr(inner, "__qualname__", type(inner).__name__)

    def send(self, value: Any) -> Any:
        try:
            self._points.hit("await", self._name)
        except BaseException as error:  # noqa: BLE001 whatever strikes is raised inside
            return self._inner.throw(error)
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()
