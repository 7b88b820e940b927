"""The hand: the only code that touches the world (database, vault, claim files, alerts, metrics), and `decide`.

Belongs here: Temporal activities, the store, crypto, reading of rulebook and site file. Does not belong here: a rule (that
is domain) or a wait (that is workflows).
"""
