"""The HTTP interface: one router per resource, responses as models, errors as problem details.

Belongs here: reading a request, querying the store, building a response. Does not belong here: SQL that writes facts, rules.
"""
