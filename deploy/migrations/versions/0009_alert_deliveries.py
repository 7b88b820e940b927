"""Alert messages: delivered, waiting, dead letters

Revision: 0009, after 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("told_state", sa.String(), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("told_severity", sa.String(), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("told_escalations", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE alerts SET told_state = state, told_severity = severity, told_escalations = escalations "
        "WHERE state = 'resolved'"
    )
    op.create_table(
        "alert_deliveries",
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("alert_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id"),
    )
    op.create_index("ix_alert_deliveries_destination", "alert_deliveries", ["destination"])
    op.create_index("ix_alert_deliveries_state", "alert_deliveries", ["state"])


def downgrade() -> None:
    op.drop_table("alert_deliveries")
    op.drop_column("alerts", "told_escalations")
    op.drop_column("alerts", "told_severity")
    op.drop_column("alerts", "told_state")
