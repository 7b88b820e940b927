"""Leases of deliveries, so that two gateways do not deliver the same event

Revision: 0022, after 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivery_leases",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False, server_default=""),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("encounter_id"),
    )


def downgrade() -> None:
    op.drop_table("delivery_leases")
