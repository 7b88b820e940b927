"""Encounters as cards on the board: stage, time in stage, holds, next deadline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Any, Final

from app.api.actors import Actor
from app.board.names import Names
from domain.events.base import Stage
from store.engine import Session
from store.queries.alerts import unresolved_by_severity
from store.queries.encounters import EncounterRow, all_encounters, closed_encounters, open_encounters, views

STAGES: Final = (Stage.APHERESIS, Stage.MANUFACTURING, Stage.LYMPHODEPLETION, Stage.INFUSION, Stage.MONITORING)
ENTERED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    Stage.APHERESIS: ("referral",),
    Stage.MANUFACTURING: ("apheresis",),
    Stage.LYMPHODEPLETION: ("release",),
    Stage.INFUSION: ("lymphodepletion", "release"),
    Stage.MONITORING: ("infusion",),
    Stage.CLOSED: ("monitoring_end",),
}
"""The milestone that starts each stage; the last documented one counts."""

HOLDS_SHOWN = 3
CLOSED_SHOWN = 50
WAKE = "wake"
KEPT = 5000


@dataclass(frozen=True, slots=True)
class Due:
    """The next deadline of an encounter."""

    title: str
    at: datetime
    late: bool
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One encounter in a list. `days` is the number of whole days in the stage, in the encounter's own time."""

    encounter_id: str
    stage: str
    product: str
    payer: str
    places: str
    holds: tuple[str, ...]
    more_holds: int
    overridden: int
    due: Due | None
    since: datetime
    days: int
    alerts: Mapping[str, int]
    up_to_date: bool

    @property
    def held(self) -> int:
        return len(self.holds) + self.more_holds

    @property
    def look(self) -> str:
        """Returns the style of the card: held, watch or clear."""
        if self.alerts.get("critical") or self.held:
            return "held"
        return "watch" if self.alerts.get("warning") or (self.due and self.due.late) else "clear"

    @property
    def urgency(self) -> tuple[int, int, datetime]:
        """Returns the sort key: most urgent first, then the longest in its stage."""
        return (("held", "watch", "clear").index(self.look), -self.alerts.get("critical", 0), self.since)


class Views:
    """Cache of each encounter's last decision, until the next one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[tuple[object, ...], dict[str, Any]]] = OrderedDict()

    def of(self, session: Session, rows: Iterable[EncounterRow]) -> dict[str, dict[str, Any]]:
        """Returns the view of every row by encounter; only changed ones are read."""
        stamps = {row.encounter_id: (row.decided_at, row.decided_sequence, row.rulebook_digest) for row in rows}
        with self._lock:
            found = {key: self._kept[key][1] for key, stamp in stamps.items() if self._fresh(key, stamp)}
        missing = sorted(stamps.keys() - found.keys())
        for encounter_id, view in views(session, missing):
            found[encounter_id] = _small(view)
            self._keep(encounter_id, stamps[encounter_id], found[encounter_id])
        return found

    def _fresh(self, key: str, stamp: tuple[object, ...]) -> bool:
        return key in self._kept and self._kept[key][0] == stamp

    def _keep(self, key: str, stamp: tuple[object, ...], view: dict[str, Any]) -> None:
        with self._lock:
            self._kept[key] = (stamp, view)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _small(view: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parts of a view that lists need; gates, the largest part, are left out."""
    return {name: view.get(name, []) for name in ("holds", "milestones", "deadlines", "claims_waiting")}


def open_rows(session: Session, actor: Actor) -> list[EncounterRow]:
    """Returns the open encounters that the caller may see, oldest first, without their views."""
    return [row for row in open_encounters(session) if actor.sees(row.facilities)]


def rows_of_work(session: Session, actor: Actor, concerned: Set[str]) -> list[EncounterRow]:
    """Returns open encounters, and closed ones with open work, such as a later denial."""
    return [
        row
        for row in all_encounters(session)
        if actor.sees(row.facilities)
        and (row.stage != Stage.CLOSED.value or row.holds_open or row.encounter_id in concerned)
    ]


def closed_rows(session: Session, actor: Actor) -> list[EncounterRow]:
    """Returns the recently closed encounters."""
    return list(islice((row for row in closed_encounters(session) if actor.sees(row.facilities)), CLOSED_SHOWN))


def cards(session: Session, rows: Sequence[EncounterRow], views: Views, names: Names, now: datetime) -> list[Card]:
    """Returns the rows as cards with counts of unresolved alerts."""
    found = views.of(session, rows)
    alerts = unresolved_by_severity(session)
    return [_card(row, found.get(row.encounter_id, {}), alerts.get(row.encounter_id, {}), names, now) for row in rows]


def _card(row: EncounterRow, view: Mapping[str, Any], alerts: Mapping[str, int], names: Names, now: datetime) -> Card:
    own_now = own_clock(now, row.decided_at)
    holds = [hold for hold in view.get("holds", ()) if not hold.get("override")]
    since = entered(row.stage, view.get("milestones", ())) or row.created_at
    return Card(
        encounter_id=row.encounter_id,
        stage=row.stage,
        product=names.product(row.product),
        payer=names.payer(row.payer),
        places=", ".join(names.facility(key) for key in row.facilities),
        holds=tuple(hold["title"] for hold in holds[:HOLDS_SHOWN]),
        more_holds=max(0, len(holds) - HOLDS_SHOWN),
        overridden=len(view.get("holds", ())) - len(holds),
        due=next_due(view.get("deadlines", ()), own_now, names),
        since=since,
        days=max(0, (own_now - since).days),
        alerts=alerts,
        up_to_date=row.decided_sequence >= row.next_sequence - 1,
    )


def own_clock(now: datetime, decided_at: datetime | None) -> datetime:
    """Returns the encounter's own time, which is ahead if clinical time is skipped, as in the demo."""
    return max(now, decided_at) if decided_at else now


def entered(stage: str, milestones: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Returns when a stage was entered, by documented milestones."""
    done = [(m["name"], datetime.fromisoformat(m["at"])) for m in milestones if not m["planned"]]
    for name in ENTERED_BY.get(stage, ()):
        moments = [at for milestone, at in done if milestone == name]
        if moments:
            return max(moments)
    return None


def next_due(deadlines: Iterable[Mapping[str, Any]], now: datetime, names: Names) -> Due | None:
    """Returns the next deadline; times at which only the software checks again are left out."""
    real = [(datetime.fromisoformat(d["due"]), str(d["title"]), str(d["kind"])) for d in deadlines if d["kind"] != WAKE]
    if not real:
        return None
    at, title, kind = min(real)
    return Due(title, at, at < now, names.owner(kind))
