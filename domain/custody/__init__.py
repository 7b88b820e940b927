"""Chain of identity and chain of custody: entries, the hash ledger and barcodes.

Belongs here: what an entry holds, how entries are linked, and how a label is read. Does not belong here: storing them.
"""
