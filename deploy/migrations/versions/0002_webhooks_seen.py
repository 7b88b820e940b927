"""Signed webhooks already accepted

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_seen",
        sa.Column("message_key", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_key"),
    )
    op.create_index("ix_webhook_seen_at", "webhook_seen", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_webhook_seen_at", table_name="webhook_seen")
    op.drop_table("webhook_seen")
