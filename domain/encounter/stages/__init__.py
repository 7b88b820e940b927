"""The five stages (G86-109), five modules with the same functions, and their order.

Each module answers an `EncounterContext` with: `service` (performed, booked or due), `gate_requirements`, `happened`, `waits`
(what should arrive, and by when), `findings` (what a role must act on) and `milestones` (planned and actual). Does not belong
here: how holds, alerts and claims are made of the answers.
"""
