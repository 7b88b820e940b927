"""The processes: settings, worker, gateway, supervisor, command line. Wires the other rooms; nobody imports it.

Belongs here: reading the environment, starting and stopping. Does not belong here: a decision about an encounter.
"""
