#!/bin/sh
# Creates the two PostgreSQL databases of the Temporal server, or updates them to this image's schema. Safe to repeat.
set -eu

prepare() {
  tool="temporal-sql-tool --plugin postgres12 --ep $SQL_HOST --port 5432 --user $SQL_USER --db $1"
  # Both report an error if the database or its version table already exists. The update below decides.
  $tool create || true
  $tool setup-schema -v 0.0 || true
  $tool update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
