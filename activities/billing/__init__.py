"""Claim files: numbers, batches, and writing an 837 to the outbox.

Belongs here: joining a claim with the identity of the vault, batches of a trading partner, transmission. Does not belong
here: what is on a claim or when it goes out (`domain.billing`).
"""
