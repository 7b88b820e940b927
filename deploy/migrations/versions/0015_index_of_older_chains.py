"""Hash older chains again and add them to the index; index the queries of decisions and alert escalation

Revision: 0015, after 0014
"""

from __future__ import annotations

from collections.abc import Iterator
import json
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from types import SimpleNamespace

import sqlalchemy as sa
from alembic import op

from domain.custody.ledger import GENESIS, check_chain, entry_hash, link_hash

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

HOLDERS = sa.text("holder_event IS true")
UNTOLD = sa.text("state != told_state OR escalations != told_escalations OR severity != told_severity")

RECORDS = sa.table(
    "custody_records",
    *(sa.column(name) for name in ("encounter_id", "position", "key", "kind", "content", "previous_hash", "hash")),
    sa.column("occurred", sa.DateTime(timezone=True)),
    sa.column("recorded_at", sa.DateTime(timezone=True)),
)
INDEX = sa.table(
    "custody_index",
    *(sa.column(name) for name in ("position", "encounter_id", "length", "head", "previous_hash", "hash")),
    sa.column("recorded_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    where = {"postgresql_where": HOLDERS, "sqlite_where": sa.text("holder_event IS 1")}
    op.create_index("ix_inbox_holders", "inbox", ["event_id"], **where)
    op.create_index("ix_alerts_untold", "alerts", ["alert_id"], postgresql_where=UNTOLD, sqlite_where=UNTOLD)
    _enter_older_chains()


def _enter_older_chains() -> None:
    """Add each intact chain that is not in the index. A broken chain, or one longer than its entries, stays unchanged.

    Before the index, the hash of a link covered fewer members. A chain valid under that hash gets a hash over all members.
    """
    connection = op.get_bind()
    last = connection.execute(sa.select(INDEX).order_by(INDEX.c.position.desc()).limit(1)).first()
    position, previous = (last.position, last.hash) if last else (0, GENESIS)
    now = datetime.now(UTC)
    for links in list(_chains_without_entry(connection)):
        if _held_before(links):
            _hash_anew(connection, links)
        if check_chain(links) is not None:
            continue
        position += 1
        entry = SimpleNamespace(
            position=position,
            encounter_id=links[-1].encounter_id,
            length=len(links),
            head=links[-1].hash,
            recorded_at=now,
            previous_hash=previous,
        )
        previous = entry_hash(entry)
        connection.execute(sa.insert(INDEX).values(**vars(entry), hash=previous))


def _held_before(links: list[SimpleNamespace]) -> bool:
    """True if the chain is valid under the hash used before the index."""
    previous = GENESIS
    for number, link in enumerate(links, start=1):
        text = json.dumps([previous, number, link.key, link.content])
        if (link.position, link.previous_hash, link.hash) != (number, previous, sha256(text.encode()).hexdigest()):
            return False
        previous = link.hash
    return True


def _hash_anew(connection: sa.Connection, links: list[SimpleNamespace]) -> None:
    previous = GENESIS
    for link in links:
        link.previous_hash = previous
        link.hash = previous = link_hash(link)
        mine = sa.and_(RECORDS.c.encounter_id == link.encounter_id, RECORDS.c.position == link.position)
        connection.execute(sa.update(RECORDS).where(mine).values(previous_hash=link.previous_hash, hash=link.hash))


def _chains_without_entry(connection: sa.Connection) -> Iterator[list[SimpleNamespace]]:
    known = sa.select(INDEX.c.encounter_id)
    query = sa.select(RECORDS).where(RECORDS.c.encounter_id.not_in(known))
    rows = connection.execute(query.order_by(RECORDS.c.encounter_id, RECORDS.c.position))
    for _, links in groupby(rows, key=lambda row: row.encounter_id):
        yield [SimpleNamespace(**row._asdict() | _zoned(row)) for row in links]


def _zoned(row: sa.Row) -> dict[str, datetime]:
    """Times are stored in UTC; SQLite returns them without a zone."""
    moments = {"occurred": row.occurred, "recorded_at": row.recorded_at}
    return {name: at.replace(tzinfo=UTC) if at.tzinfo is None else at for name, at in moments.items()}


def downgrade() -> None:
    op.drop_index("ix_alerts_untold", table_name="alerts")
    op.drop_index("ix_inbox_holders", table_name="inbox")
