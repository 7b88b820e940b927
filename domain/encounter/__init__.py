"""The encounter: facts become a record and a context; gates and stages judge the context.

Belongs here: everything clinical and logistical that follows from the facts. Does not belong here: claims (`domain.billing`).
"""
