"""The processes: worker, gateway, and `up`, which runs the embedded stack.

Belongs here: starting, stopping, connecting, logging, connecting the rooms. Does not belong here: decisions about an
encounter.
"""
