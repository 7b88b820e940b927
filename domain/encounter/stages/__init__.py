"""The five stages (G86-109), five modules of one shape, and the order they come in.

Each module answers a `Case` with the same functions: `service` (performed, booked or due), `asks` (its gate's
requirements), `happened`, `waits` (what should come, and by when), `findings` (what somebody must act on) and
`milestones` (planned and actual). Does not belong here: how holds, alerts and claims are made of the answers.
"""
