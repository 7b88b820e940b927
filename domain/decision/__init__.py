"""The decision: gates, stages and claims become holds, alerts, deadlines and an outcome.

Belongs here: the one answer for one set of facts, one rulebook and one moment. Does not belong here: a rule of one stage,
or the content of a claim.
"""
