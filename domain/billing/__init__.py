"""Claims A-D: which exist, what is on each, and what is wrong with it.

Belongs here: the claim model, the assignment of documented services to claims, the builders, the grouper, the
edits, the X12 form. Does not belong here: a code, price, day window or product name (rulebook and site file hold them),
identity of a person (fields point into the vault), sending, and the life of a claim after it is built (the workflows).

Prices come from posted charges, else from the chargemaster under these service names: collection, transport_preparation,
receipt_preparation, cell_administration, cell_product, room_and_board, the drug's own key, chemo_infusion_initial,
chemo_infusion_hour, chemo_infusion_sequential, chemo_push, chemo_push_additional, therapeutic_infusion,
therapeutic_infusion_hour.
"""

from domain.billing.claims_due import build_claims

__all__ = ["build_claims"]
