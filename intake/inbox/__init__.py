"""The inbox transaction: receive an event, match it to an encounter, place it, quarantine it, retain it, merge records.

Belongs here: everything that decides an event's receipt, in one database transaction. Does not belong here: formats, and
what an event means for an encounter.
"""
