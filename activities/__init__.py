"""Temporal activities: load, ask the domain, write.

Belongs here: the activities of each workflow, and files and messages that they write. Does not belong here: a rule (`domain`),
SQL (`store`) or a wait (`workflows`).
"""
