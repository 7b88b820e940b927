"""System events in: one translator per format, one door out to the workflow.

Belongs here: transports (HTTP bindings, MLLP), translation into the event catalogue, delivery. Does not belong here: what
an event means for an encounter, that is `domain`'s; where it belongs and how it is kept, that is `store`'s.
"""
