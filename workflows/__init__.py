"""Workflows: waits, deadlines, continue-as-new, and carrying out what was decided.

Belongs here: workflow classes, their names, search attributes and the typed signatures of the activities they call.
Does not belong here: a rule, a code, a threshold; I/O, clocks, randomness, metrics, SQL. Of `domain` only `workflows.messages`.
"""
