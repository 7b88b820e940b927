"""`/metrics`: the SDK's own numbers, this process's counters, and what the database knows, in one exposition.

What a metric means stands in `definitions`; the other files count it. No identifier of a person becomes a label, and every
label has a bound on its values.
"""

from __future__ import annotations

from app.metrics.serving import exposition, free_port, register_store_metrics, sdk_metrics, serve_metrics
from app.metrics.store import StoreMetrics

__all__ = [
    "StoreMetrics",
    "exposition",
    "free_port",
    "register_store_metrics",
    "sdk_metrics",
    "serve_metrics",
]
