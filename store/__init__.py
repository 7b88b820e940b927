"""The store: tables, sessions, keys and the patient vault. One code path for SQLite (WAL) and PostgreSQL.

Belongs here: SQL and encryption at rest. Does not belong here: what follows from a row. Both use it: `intake` for
the inbox transaction, activities for everything later.
"""
