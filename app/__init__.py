"""API, board, command line, metrics, PDF, processes and tools. Connects the other rooms; no other room imports it.

Belongs here: what people, other systems and operators use. Does not belong here: decisions about an encounter.
"""
