"""The HTTP interface of design section 7: one router per thing asked for, answers as models, errors as problem details.

Belongs here: reading a request, asking the store, shaping an answer. Does not belong here: SQL that writes facts, rules.
"""
