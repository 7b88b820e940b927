"""Board sessions that were signed out

Revision: 0018, after 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions_ended",
        sa.Column("session_key", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_key"),
    )
    op.create_index("ix_sessions_ended_until", "sessions_ended", ["until"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_sessions_ended_until", table_name="sessions_ended")
    op.drop_table("sessions_ended")
