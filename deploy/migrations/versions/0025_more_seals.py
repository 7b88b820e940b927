"""Seals of the contents of events and of acknowledgments

Revision: 0025, after 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

MARKS = (("inbox", "content_sealed_in"), ("alerts", "acknowledgment_sealed_in"))


def upgrade() -> None:
    for table, mark in MARKS:
        op.add_column(table, sa.Column(mark, sa.Integer(), nullable=True))
        # On PostgreSQL `store.migration` makes these indexes afterwards, without stopping who writes to the tables.
        if op.get_bind().dialect.name != "postgresql":
            op.create_index(f"ix_{table}_{mark}", table, [mark])


def downgrade() -> None:
    for table, mark in reversed(MARKS):
        op.drop_index(f"ix_{table}_{mark}", table, if_exists=True)
        op.drop_column(table, mark)
