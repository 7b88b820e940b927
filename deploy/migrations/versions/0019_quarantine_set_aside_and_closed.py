"""Quarantine: retained entries with an end date; entries closed manually, with who and why

Revision: 0019, after 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quarantine", sa.Column("closed_from", sa.String(), nullable=True))
    op.add_column("quarantine", sa.Column("closed_by", sa.String(), nullable=True))
    op.add_column("quarantine", sa.Column("closed_because", sa.String(), nullable=True))
    op.add_column("quarantine", sa.Column("closed_note", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_quarantine_expires_at", "quarantine", ["expires_at"], postgresql_where=EXPIRES, sqlite_where=EXPIRES
    )


def downgrade() -> None:
    op.drop_index("ix_quarantine_expires_at", table_name="quarantine")
    for column in ("closed_note", "closed_because", "closed_by", "closed_from", "expires_at"):
        op.drop_column("quarantine", column)
