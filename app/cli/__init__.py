"""The command line: one module for each group of commands; `main` joins them.

Belongs here: reading arguments, calling the API or the store, printing text or JSON. Does not belong here: rules, SQL.
"""
