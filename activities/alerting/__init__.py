"""Alerts after they are open: escalation when no one acknowledges, and delivery to people and systems.

Belongs here: due times, destinations, signatures, retries. Does not belong here: whether an alert is open (the domain).
"""
