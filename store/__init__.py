"""The store: tables, sessions, keys and the patient vault. One code path for SQLite (WAL) and PostgreSQL.

Belongs here: SQL and encryption at rest. Does not belong here: what follows from a row. `intake` uses this room too:
the inbox transaction is its half, everything that happens later is the activities'.
"""
