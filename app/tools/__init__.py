"""Tools around the product: the demo, synthetic cohorts and the generated documents.

Belongs here: what a developer or trainer runs. Does not belong here: anything that a serving process needs.
"""
