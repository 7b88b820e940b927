"""Alerts: what a finding is, how a rulebook row turns it into an alert, and what causes several at once.

Belongs here: findings, alerts, shared causes, the certificate watch. Does not belong here: who is notified, and when an
alert is closed in the database.
"""
