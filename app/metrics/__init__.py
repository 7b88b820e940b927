"""`/metrics`: SDK metrics, counters of this process and metrics of the database in one exposition.

`definitions` has the meaning of each metric; the other files count. No label has a patient identifier, and every label has a
limit on its number of values.
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
