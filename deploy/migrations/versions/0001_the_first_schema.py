"""First schema

Revision: 0001, after
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)

    op.create_table(
        "claim_lines",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("letter", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revenue_code", sa.String(), nullable=True),
        sa.Column("hcpcs", sa.String(), nullable=True),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("charge", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("date_of_service", sa.Date(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("encounter_id", "letter", "ordinal", "version", "number"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "encounters",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("patient_ref", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("next_sequence", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("payer_class", sa.String(), nullable=False),
        sa.Column("facilities", sa.JSON(), nullable=False),
        sa.Column("holds_open", sa.Integer(), nullable=False),
        sa.Column("next_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_sequence", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rulebook_digest", sa.String(), nullable=False),
        sa.Column("view", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("encounter_id"),
    )
    op.create_index("ix_encounters_patient_ref", "encounters", ["patient_ref"], unique=False)
    op.create_index("ix_encounters_stage", "encounters", ["stage"], unique=False)
    op.create_index("ix_encounters_status", "encounters", ["status"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("dedupe_key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("subject_key", sa.String(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("patient_ref", sa.String(), nullable=True),
        sa.Column("holder_event", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.UniqueConstraint("dedupe_key"),
    )
    op.create_index("ix_inbox_feed", "inbox", ["feed"], unique=False)
    op.create_index("ix_inbox_type", "inbox", ["type"], unique=False)

    op.create_table(
        "patients",
        sa.Column("patient_ref", sa.String(), nullable=False),
        sa.Column("mrn_key", sa.String(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("patient_ref"),
    )
    op.create_index("ix_patients_mrn_key", "patients", ["mrn_key"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.String(), nullable=False),
        sa.Column("dedupe_key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("subject_key", sa.String(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("quarantine_id"),
        sa.UniqueConstraint("dedupe_key", "body_hash"),
    )
    op.create_index("ix_quarantine_dedupe_key", "quarantine", ["dedupe_key"], unique=False)
    op.create_index("ix_quarantine_state", "quarantine", ["state"], unique=False)
    op.create_index("ix_quarantine_subject_key", "quarantine", ["subject_key"], unique=False)

    op.create_table(
        "staff",
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym"),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("encounter_id", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("citation", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=True),
        sa.Column("denial", sa.Integer(), nullable=True),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledge_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=True),
        sa.Column("acknowledged_note", sa.LargeBinary(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("escalations", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["encounters.encounter_id"],
        ),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("ix_alerts_encounter_id", "alerts", ["encounter_id"], unique=False)
    op.create_index("ix_alerts_key", "alerts", ["key"], unique=False)
    op.create_index("ix_alerts_state", "alerts", ["state"], unique=False)

    op.create_table(
        "aliases",
        sa.Column("alias_key", sa.String(), nullable=False),
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["encounters.encounter_id"],
        ),
        sa.PrimaryKeyConstraint("alias_key", "encounter_id", "kind"),
    )
    op.create_index("ix_aliases_encounter_id", "aliases", ["encounter_id"], unique=False)

    op.create_table(
        "certifications",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("holder_key", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["inbox.event_id"],
        ),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("ix_certifications_holder_key", "certifications", ["holder_key"], unique=False)

    op.create_table(
        "claims",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("letter", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("total", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("error_count", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("rulebook_digest", sa.String(), nullable=False),
        sa.Column("edition", sa.String(), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("emitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("control_number", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["encounters.encounter_id"],
        ),
        sa.PrimaryKeyConstraint("encounter_id", "letter", "ordinal", "version"),
        sa.UniqueConstraint("control_number"),
    )
    op.create_index("ix_claims_state", "claims", ["state"], unique=False)

    op.create_table(
        "custody_records",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("occurred", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["encounters.encounter_id"],
        ),
        sa.PrimaryKeyConstraint("encounter_id", "position"),
        sa.UniqueConstraint("encounter_id", "key"),
    )
    op.create_table(
        "encounter_events",
        sa.Column("encounter_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("note_key", sa.String(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["encounters.encounter_id"],
        ),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["inbox.event_id"],
        ),
        sa.PrimaryKeyConstraint("encounter_id", "sequence"),
        sa.UniqueConstraint("encounter_id", "event_id"),
    )
    op.create_index("ix_encounter_events_event_id", "encounter_events", ["event_id"], unique=False)
    op.create_index(
        "ix_encounter_events_undelivered",
        "encounter_events",
        ["delivered_at", "encounter_id"],
        unique=False,
    )

    op.create_table(
        "inbox_conflicts",
        sa.Column("conflict_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["inbox.event_id"],
        ),
        sa.PrimaryKeyConstraint("conflict_id"),
        sa.UniqueConstraint("event_id", "body_hash"),
    )
    op.create_index("ix_inbox_conflicts_event_id", "inbox_conflicts", ["event_id"], unique=False)

    op.create_table(
        "quarantine_keys",
        sa.Column("match_key", sa.String(), nullable=False),
        sa.Column("quarantine_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["quarantine_id"],
            ["quarantine.quarantine_id"],
        ),
        sa.PrimaryKeyConstraint("match_key", "quarantine_id"),
    )
    op.create_index(
        "ix_quarantine_keys_quarantine_id",
        "quarantine_keys",
        ["quarantine_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_quarantine_keys_quarantine_id", table_name="quarantine_keys")

    op.drop_table("quarantine_keys")
    op.drop_index("ix_inbox_conflicts_event_id", table_name="inbox_conflicts")

    op.drop_table("inbox_conflicts")
    op.drop_index("ix_encounter_events_undelivered", table_name="encounter_events")
    op.drop_index("ix_encounter_events_event_id", table_name="encounter_events")

    op.drop_table("encounter_events")
    op.drop_table("custody_records")
    op.drop_index("ix_claims_state", table_name="claims")

    op.drop_table("claims")
    op.drop_index("ix_certifications_holder_key", table_name="certifications")

    op.drop_table("certifications")
    op.drop_index("ix_aliases_encounter_id", table_name="aliases")

    op.drop_table("aliases")
    op.drop_index("ix_alerts_state", table_name="alerts")
    op.drop_index("ix_alerts_key", table_name="alerts")
    op.drop_index("ix_alerts_encounter_id", table_name="alerts")

    op.drop_table("alerts")
    op.drop_table("staff")
    op.drop_index("ix_quarantine_subject_key", table_name="quarantine")
    op.drop_index("ix_quarantine_state", table_name="quarantine")
    op.drop_index("ix_quarantine_dedupe_key", table_name="quarantine")

    op.drop_table("quarantine")
    op.drop_index("ix_patients_mrn_key", table_name="patients")

    op.drop_table("patients")
    op.drop_index("ix_inbox_type", table_name="inbox")
    op.drop_index("ix_inbox_feed", table_name="inbox")

    op.drop_table("inbox")
    op.drop_index("ix_encounters_status", table_name="encounters")
    op.drop_index("ix_encounters_stage", table_name="encounters")
    op.drop_index("ix_encounters_patient_ref", table_name="encounters")

    op.drop_table("encounters")
    op.drop_table("counters")
    op.drop_table("claim_lines")
    op.drop_index("ix_audit_at", table_name="audit")

    op.drop_table("audit")
