"""Emergency access of a person to an encounter

Revision: 0024, after 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "emergency_access",
        sa.Column("access_id", sa.String(), nullable=False),
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["encounter_id"], ["encounters.encounter_id"]),
        sa.PrimaryKeyConstraint("access_id"),
    )
    op.create_index("ix_emergency_access_encounter_id", "emergency_access", ["encounter_id"])
    op.create_index("ix_emergency_access_opened_at", "emergency_access", ["opened_at"])


def downgrade() -> None:
    op.drop_table("emergency_access")
