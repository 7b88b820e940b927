"""FHIR R4: subscription notifications in, events out; a number that was skipped is missed, alerted and named.

Belongs here: reading the bundle, counting its events, translating Appointment and Encounter. Nothing is asked of the
sender's server from here: the answer names the missing numbers, the sender's `$events` gives them.
"""
