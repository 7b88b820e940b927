"""The encounter: facts become a record, a record becomes a context, a context is judged by gates and stages.

Belongs here: everything clinical and logistical that follows from the facts. Does not belong here: claims (`domain.billing`).
"""
