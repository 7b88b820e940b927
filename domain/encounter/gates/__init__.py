"""Gates: what a stage requires before it may start, judged for the day of its service (design sections 2 and 6).

Belongs here: one module per kind of requirement (readiness, product, eligibility, authorization, site of care, cells,
identity); each returns the requirements for an `EncounterContext` and a `Service`. Does not belong here: which stage requires
what (the stage modules), and what an unmet requirement leads to (holds and alerts).
"""
