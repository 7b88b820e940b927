"""Tools for the product: demo, synthetic cohorts and generated documents.

Belongs here: what a developer or trainer runs. Does not belong here: code that a serving process needs.
"""
