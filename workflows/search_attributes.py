"""The one registry of search attributes: what `up` and a deployment register, and what the workflows set.

Search attributes are plain text in the Temporal server, so their values are keys of the rulebook and moments only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.common import SearchAttributeKey

STAGE: Final = SearchAttributeKey.for_keyword("CartStage")
HOLDS: Final = SearchAttributeKey.for_keyword_list("CartHolds")
NEXT_DUE: Final[SearchAttributeKey[datetime]] = SearchAttributeKey.for_datetime("CartNextDue")
PRODUCT: Final = SearchAttributeKey.for_keyword("CartProduct")
PAYER_CLASS: Final = SearchAttributeKey.for_keyword("CartPayerClass")
ALERT_SEVERITY: Final = SearchAttributeKey.for_keyword("CartAlertSeverity")
CLAIM_STATE: Final = SearchAttributeKey.for_keyword("CartClaimState")

MEANING: Final[dict[str, str]] = {
    STAGE.name: "stage of the encounter: apheresis, manufacturing, lymphodepletion, infusion, monitoring, closed",
    HOLDS.name: "kinds of the open holds: readiness, eligibility, authorization, site_of_care, product, identity, "
    "data, claim",
    NEXT_DUE.name: "the next deadline of the encounter",
    PRODUCT.name: "product key of the rulebook",
    PAYER_CLASS.name: "payer class of the rulebook",
    ALERT_SEVERITY.name: "worst severity among the open alerts; none if there is none",
    CLAIM_STATE.name: "state of a claim: held, emitted, withdrawn, transmitted, voided; and from payer responses "
    "acknowledged, rejected, paid, partly_paid, denied",
}

REGISTRY: Final[dict[str, IndexedValueType.ValueType]] = {
    STAGE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    HOLDS.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    NEXT_DUE.name: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    PRODUCT.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    PAYER_CLASS.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    ALERT_SEVERITY.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    CLAIM_STATE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}
