"""Claims by file content: the parties in the file, and the last decision kept

Revision: 0010, after 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("encounters", sa.Column("acted_sequence", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("encounters", sa.Column("acted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("claims", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("transmissions", sa.Column("insured_mark", sa.String(), nullable=True))
    op.add_column("transmissions", sa.Column("parties_mark", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("transmissions", "parties_mark")
    op.drop_column("transmissions", "insured_mark")
    op.drop_column("claims", "decided_at")
    op.drop_column("encounters", "acted_at")
    op.drop_column("encounters", "acted_sequence")
