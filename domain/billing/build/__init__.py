"""Builders: lines, codes and amounts of one claim from its documented services.

Belongs here: one module per kind of service or part of the form. Does not belong here: which claims exist (`claims_due`),
edits, X12.
"""
