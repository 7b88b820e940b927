"""Claims after they are ready: transmissions, payer responses, status

Revision: 0004, after 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("claims", sa.Column("frequency", sa.String(), nullable=False, server_default="1"))
    op.add_column("claims", sa.Column("standing", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "transmissions",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("letter", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("control_number", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("receiver_id", sa.String(), nullable=False),
        sa.Column("interchange", sa.Integer(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("replaces_event", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["encounter_id"], ["encounters.encounter_id"]),
        sa.PrimaryKeyConstraint("encounter_id", "letter", "ordinal", "version"),
        sa.UniqueConstraint("control_number"),
        sa.UniqueConstraint("mode", "receiver_id", "interchange"),
    )
    op.create_table(
        "reply_files",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replies", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def downgrade() -> None:
    op.drop_table("reply_files")
    op.drop_table("transmissions")
    op.drop_column("claims", "standing")
    op.drop_column("claims", "frequency")
