"""The processes: worker, gateway, and `up`, which runs the whole embedded stack.

Belongs here: starting, stopping, connecting, logging, wiring the rooms together. Does not belong here: a decision about an
encounter.
"""
