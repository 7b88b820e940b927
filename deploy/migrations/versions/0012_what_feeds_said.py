"""Feed data besides events: merged record numbers, time of the last message, requests to FHIR servers

Revision: 0012, after 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "record_merges",
        sa.Column("old_key", sa.String(), nullable=False),
        sa.Column("new_key", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("old_key", "new_key"),
    )
    op.create_index("ix_record_merges_new_key", "record_merges", ["new_key"])
    op.create_table(
        "feeds_heard",
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("feed"),
    )
    op.add_column("fhir_subscriptions", sa.Column("reference", sa.String(), nullable=False, server_default=""))
    op.add_column("fhir_subscriptions", sa.Column("asked", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("fhir_subscriptions", sa.Column("ask_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("fhir_subscriptions", "ask_at")
    op.drop_column("fhir_subscriptions", "asked")
    op.drop_column("fhir_subscriptions", "reference")
    op.drop_table("feeds_heard")
    op.drop_table("record_merges")
