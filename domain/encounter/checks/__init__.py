"""Checks that gates and stages share: regimen, toxicity, body measures, tocilizumab stock.

Belongs here: one pure check per module. Does not belong here: what follows from an unmet check.
"""
