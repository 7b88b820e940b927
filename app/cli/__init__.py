"""The command line: one module per group of commands, `main` joins them.

Belongs here: reading arguments, calling the API or the store, printing words or JSON. Does not belong here: rules, SQL.
"""
