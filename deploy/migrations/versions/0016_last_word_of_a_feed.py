"""Index to find the last event of a feed

Revision: 0016, after 0015
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_inbox_feed_received_at", "inbox", ["feed", "received_at"])
    op.drop_index("ix_inbox_feed", table_name="inbox")


def downgrade() -> None:
    op.create_index("ix_inbox_feed", "inbox", ["feed"])
    op.drop_index("ix_inbox_feed_received_at", table_name="inbox")
