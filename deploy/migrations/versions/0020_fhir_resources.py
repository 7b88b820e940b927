"""Resources of FHIR servers that are remembered or asked for

Revision: 0020, after 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fhir_resources",
        sa.Column("resource_key", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("ask_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("resource_key"),
    )
    op.create_index("ix_fhir_resources_until", "fhir_resources", ["until"])
    op.create_index("ix_fhir_resources_ask_at", "fhir_resources", ["ask_at"])


def downgrade() -> None:
    op.drop_table("fhir_resources")
