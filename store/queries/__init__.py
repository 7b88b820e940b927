"""Read-only listings for the API, the board and the command line.

Belongs here: SELECT statements and the rows they return. Does not belong here: anything that writes.
"""
