#!/bin/sh
# The two databases of the Temporal server in PostgreSQL, made or brought to this image's schema. Safe to repeat.
set -eu

prepare() {
  tool="temporal-sql-tool --plugin postgres12 --ep $SQL_HOST --port 5432 --user $SQL_USER --db $1"
  # Both answer with an error where the database or its version table stands already; the update below is the judge.
  $tool create || true
  $tool setup-schema -v 0.0 || true
  $tool update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
