"""Signed batches over audit, submissions, inbox and alerts

Revision: 0023, after 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MARKS = (
    ("audit", "sealed_in"),
    ("transmissions", "sealed_in"),
    ("inbox", "sealed_in"),
    ("alerts", "sealed_in"),
    ("alerts", "end_sealed_in"),
)


def upgrade() -> None:
    op.create_table(
        "sealed_batches",
        sa.Column("ledger", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "position"),
    )
    op.create_table(
        "sealed_removals",
        sa.Column("removal_id", sa.String(), nullable=False),
        sa.Column("ledger", sa.String(), nullable=False),
        sa.Column("row_keys", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_in", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("removal_id"),
    )
    op.create_index("ix_sealed_removals_ledger", "sealed_removals", ["ledger"])
    op.create_index("ix_sealed_removals_sealed_in", "sealed_removals", ["sealed_in"])
    for table, mark in MARKS:
        op.add_column(table, sa.Column(mark, sa.Integer(), nullable=True))
        op.create_index(f"ix_{table}_{mark}", table, [mark])


def downgrade() -> None:
    for table, mark in reversed(MARKS):
        op.drop_index(f"ix_{table}_{mark}", table)
        op.drop_column(table, mark)
    op.drop_table("sealed_removals")
    op.drop_table("sealed_batches")
