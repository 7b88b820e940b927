"""Submission: what goes out next (original, replacement or void), and what payer responses mean.

Belongs here: versions, statuses, payer responses, denials and expected payments. Pure: no database, no files.
"""
