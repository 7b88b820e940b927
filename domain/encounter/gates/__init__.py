"""Gates: what a stage asks for before it may start, judged for the day of its service (design sections 2 and 6).

Belongs here: one module per kind of requirement (readiness, product, eligibility, authorization, site of care, cells,
identity), each answering a `Case` and a `Service` with requirements. Does not belong here: which stage asks for which
(the stage modules), what an unmet requirement leads to (holds and alerts).
"""
