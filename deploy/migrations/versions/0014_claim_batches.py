"""Several claims in one interchange: batches, and the position of a claim in its batch

Revision: 0014, after 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAMES = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
POSTGRESQL_NAME = "transmissions_mode_receiver_id_interchange_key"


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("receiver_id", sa.String(), nullable=False),
        sa.Column("interchange", sa.Integer(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("mode", "receiver_id", "interchange"),
    )
    _let_claims_share_an_interchange(["mode", "receiver_id", "interchange", "set_number"])


def _let_claims_share_an_interchange(columns: list[str]) -> None:
    place = sa.Column("set_number", sa.Integer(), nullable=False, server_default="1")
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("transmissions", place)
        op.drop_constraint(POSTGRESQL_NAME, "transmissions")
        op.create_unique_constraint("uq_transmissions_set", "transmissions", columns)
        return
    with op.batch_alter_table("transmissions", naming_convention=NAMES) as table:
        table.add_column(place)
        table.drop_constraint("uq_transmissions_mode", type_="unique")
        table.create_unique_constraint("uq_transmissions_set", columns)


def downgrade() -> None:
    with op.batch_alter_table("transmissions") as table:
        table.drop_constraint("uq_transmissions_set", type_="unique")
        table.create_unique_constraint(POSTGRESQL_NAME, ["mode", "receiver_id", "interchange"])
        table.drop_column("set_number")
    op.drop_table("batches")
