"""Intake of system events: one translator for each format, one client that delivers to workflows.

Belongs here: transports (HTTP bindings, MLLP), translation into the event catalog, delivery. Does not belong here: what
an event means for an encounter (`domain`), tables and encryption (`store`).
"""
