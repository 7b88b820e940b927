"""Faults on purpose: what is killed, frozen, filled up, cut off or torn at a chosen moment, and what must hold all the same.

`make chaos` runs lots of them (`lots.py`); `test_chaos.py` is the short form in the suite. Two halves: `cases.py` strikes one
product process at a numbered point of a story, `stack_lots.py` strikes the processes of a running installation.
"""
