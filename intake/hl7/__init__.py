"""HL7 v2 over MLLP: frames in, events out, an acknowledgement only for what is durable.

Belongs here: framing, reading segments, the site's mapping, translation, acknowledgements. Does not belong here: what an
appointment or a stay means for an encounter.
"""
