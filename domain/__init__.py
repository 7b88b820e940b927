"""What a CAR-T encounter is: events, the facts they add up to, and what follows from the facts.

Belongs here: pure functions and plain data types. The same input gives the same output, on any machine and any day.
Does not belong here: I/O, clocks, randomness, Temporal, SQL, metrics, or a billing fact that is not a rulebook row.
"""
