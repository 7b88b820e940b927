"""Last received notification of each FHIR subscription

Revision: 0003, after 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fhir_subscriptions",
        sa.Column("subscription_key", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subscription_key"),
    )


def downgrade() -> None:
    op.drop_table("fhir_subscriptions")
