"""Preflight: the result of the gates for a referral, before anything is scheduled or stored.

Belongs here: missing requirements, documents for the request, planned days, assistance and the cost stack. Does
not belong here: the gates themselves (`domain.encounter.gates`, `domain.encounter.stages`), or anything that a decision on
an encounter needs.
Plans and amounts are reminders for people; every assumption behind a date or an amount is named.
"""

from domain.preflight.answer import Preflight
from domain.preflight.judge import preflight
from domain.preflight.request import read_referral

__all__ = ["Preflight", "preflight", "read_referral"]
