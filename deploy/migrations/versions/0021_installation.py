"""The installation: epoch, key check, hashes of files that were sent

Revision: 0021, after 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("installation_id", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("key_check", sa.String(), nullable=True),
        sa.Column("data_key_ids", sa.JSON(), nullable=False),
        sa.Column("outbox_index_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch_raised_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("row"),
    )
    op.create_table(
        "outbox_findings",
        sa.Column("finding_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("mode", sa.String(), nullable=True),
        sa.Column("receiver_id", sa.String(), nullable=True),
        sa.Column("interchange", sa.Integer(), nullable=True),
        sa.Column("control_number", sa.String(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("finding_key"),
    )
    op.create_table(
        "recovered_claims",
        sa.Column("recovered_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("control_number", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("receiver_id", sa.String(), nullable=False),
        sa.Column("interchange", sa.Integer(), nullable=False),
        sa.Column("set_number", sa.Integer(), nullable=False),
        sa.Column("file_digest", sa.String(), nullable=True),
        sa.Column("encounter_id", sa.String(), nullable=True),
        sa.Column("letter", sa.String(), nullable=True),
        sa.Column("ordinal", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("form", sa.String(), nullable=True),
        sa.Column("payer_id", sa.String(), nullable=True),
        sa.Column("frequency", sa.String(), nullable=True),
        sa.Column("total", sa.Numeric(12, 2), nullable=True),
        sa.Column("statement_from", sa.Date(), nullable=True),
        sa.Column("statement_through", sa.Date(), nullable=True),
        sa.Column("member_mark", sa.String(), nullable=True),
        sa.Column("person_mark", sa.String(), nullable=True),
        sa.Column("exact_mark", sa.String(), nullable=True),
        sa.Column("bill_mark", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.String(), nullable=True),
        sa.Column("decided_for", sa.String(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("recovered_id"),
    )
    op.create_index("ix_recovered_claims_state", "recovered_claims", ["state"])
    op.create_index("ix_recovered_claims_control_number", "recovered_claims", ["control_number"])
    op.create_index("ix_recovered_claims_member_mark", "recovered_claims", ["member_mark"])
    op.add_column("transmissions", sa.Column("file_digest", sa.String(), nullable=True))
    op.add_column(
        "transmissions", sa.Column("other_content", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("transmissions", "other_content")
    op.drop_column("transmissions", "file_digest")
    op.drop_table("recovered_claims")
    op.drop_table("outbox_findings")
    op.drop_table("installation")
