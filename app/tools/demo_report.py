"""Output of the demo: progress while it runs, and a summary for coordinators and billers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.tools.demo_player import Course
from app.tools.demo_stack import RunningStack
from app.tools.scenario_expectations import Scenario

WIDTH = 118


class Board:
    """Shows the progress of every encounter: a bar of events, its date and its stage."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[day]:<10} {task.fields[stage]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}

    def add(self, scenario: Scenario) -> None:
        days = len({event.day for event in scenario.feed.events}) + 1
        self._tasks[scenario.feed.name] = self.progress.add_task(scenario.feed.name, total=days, day="", stage="")

    def moved(self, course: Course, day: date) -> None:
        """Advances an encounter by a day. Without a terminal only changes of stage are printed."""
        self.progress.update(self._tasks[course.name], advance=1, day=day.isoformat(), stage=course.stage)
        if not self.console.is_terminal and self._stages.get(course.name) != course.stage:
            self.console.print(f"{day.isoformat()}  {course.name:<34} {course.stage}")
        self._stages[course.name] = course.stage


def summary(console: Console, courses: Iterable[Course], stack: RunningStack, seconds: float, kept: bool) -> None:
    """Prints the result of every encounter, the addresses, and every difference from the expected outcome."""
    courses = list(courses)
    for course in courses:
        console.print(_encounter(course))
    console.print(_where(stack, kept))
    wrong = [course for course in courses if course.problems]
    for course in wrong:
        for problem in course.problems:
            console.print(Text(f"DIFFERS  {course.name}: {problem}", style="red"))
    verdict = f"{len(courses) - len(wrong)} of {len(courses)} encounters have the expected outcome, in {seconds:.0f} s"
    console.print(Text(verdict, style="red" if wrong else "green"))


def _encounter(course: Course) -> Panel:
    feed = course.scenario.feed
    admitted = "never admitted" if feed.admission_day is None else f"admitted on day {feed.admission_day:+d}"
    head = Text(f"{feed.payer}, {admitted}; day 0 is {course.anchor.isoformat()}; encounter {course.encounter}")
    body = Group(head, _stages(course), _claims(course), _alerts(course), _custody(course))
    return Panel(body, title=f"{feed.name}: {feed.title}", title_align="left", width=WIDTH)


def _stages(course: Course) -> Text:
    steps = [
        f"{milestone['name']} {_moment(milestone['at'])}"
        for milestone in course.encounter_view.get("milestones", [])
        if not milestone["planned"]
    ]
    days = course.encounter_view.get("vein_to_vein_days")
    return Text(f"Stages   {' → '.join(steps)}\nVein to vein  {days} days")


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).date().isoformat()


def _claims(course: Course) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("claim", "state", "form", "service dates", "lines", "total"):
        table.add_column(heading, no_wrap=True)
    table.add_column("codes and units")
    for key, claim in sorted(course.claims.items()):
        table.add_row(
            key,
            claim["state"],
            f"{claim['form']} {claim['type_of_bill'] or ''}",
            f"{claim['statement_from']} to {claim['statement_through'][5:]}",
            str(len(claim["lines"])),
            f"${float(claim['total']):,.2f}",
            _services(claim),
        )
    return table


def _services(claim: dict[str, Any]) -> str:
    """Returns the codes and units of the lines, each code once."""
    units: dict[str, int] = {}
    for line in claim["lines"]:
        code = line["hcpcs"] or line["revenue_code"]
        units[code] = units.get(code, 0) + line["units"]
    drg = [f"DRG {claim['drg']}"] if claim["drg"] else []
    return ", ".join([*drg, *(f"{code}×{count}" for code, count in units.items())])


def _alerts(course: Course) -> Text:
    if not course.alerts:
        return Text("Alerts   none")
    kinds = sorted({f"{alert['kind']} ({alert['severity']}, {alert['state']})" for alert in course.alerts})
    return Text(f"Alerts   {len(course.alerts)} raised: " + "; ".join(kinds))


def _custody(course: Course) -> Text:
    records, verified = len(course.timeline.get("records", [])), course.timeline.get("verified")
    return Text(f"Custody  {records} records, chain {'verified' if verified else 'BROKEN'}")


def _where(stack: RunningStack, kept: bool) -> Panel:
    rows = [("Data, logs and databases", str(stack.data_dir)), ("Token", str(stack.data_dir / "token"))]
    if kept:
        rows += [
            ("HTTP interface", stack.http),
            ("Temporal UI", f"{stack.ui}/namespaces/default/workflows"),
            ("Metrics", stack.metrics),
            ("Stop it with", f"kill {stack.pid}"),
        ]
    else:
        rows += [("Start it again", f"cart-encounter up --time-skipping --data-dir {stack.data_dir}")]
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, value)
    return Panel(table, title="Addresses and files", title_align="left", width=WIDTH)
