"""Metrics of the Temporal SDK and of Prometheus that rules and dashboards use, as the worker exposes them."""

from __future__ import annotations

from typing import Final

from app.metrics.definitions import Definition

_QUEUE = ("namespace", "service_name", "task_queue")

SDK: Final = (
    Definition(
        "temporal_workflow_task_execution_failed_total",
        "counter",
        (*_QUEUE, "workflow_type", "failure_reason"),
        "Workflow tasks that raised an error; the server retries them forever, so a rising count means a stuck workflow.",
    ),
    Definition(
        "temporal_num_pollers",
        "gauge",
        (*_QUEUE, "poller_type"),
        "Active pollers: workflow, sticky and activity tasks.",
    ),
    Definition("temporal_worker_task_slots_available", "gauge", (*_QUEUE, "worker_type"), "Free task slots."),
    Definition("temporal_worker_task_slots_used", "gauge", (*_QUEUE, "worker_type"), "Slots used by running tasks."),
    Definition(
        "temporal_workflow_task_schedule_to_start_latency_seconds",
        "histogram",
        _QUEUE,
        "Time a workflow task waited in the queue for a worker.",
    ),
    Definition(
        "temporal_activity_schedule_to_start_latency_seconds",
        "histogram",
        _QUEUE,
        "Time an activity waited in the queue for a worker.",
    ),
    Definition(
        "temporal_activity_execution_latency_seconds",
        "histogram",
        (*_QUEUE, "activity_type"),
        "Duration of one activity attempt.",
    ),
    Definition(
        "temporal_activity_execution_failed_total",
        "counter",
        (*_QUEUE, "activity_type", "failure_reason"),
        "Failed activity attempts, which are retried; absent until the first.",
    ),
    Definition(
        "temporal_local_activity_execution_failed_total",
        "counter",
        (*_QUEUE, "workflow_type", "activity_type", "failure_reason"),
        "Failed attempts of local activities, such as `decide`; absent until the first.",
    ),
    Definition(
        "temporal_local_activity_execution_latency_seconds",
        "histogram",
        (*_QUEUE, "activity_type"),
        "Duration of one local activity attempt.",
    ),
    Definition(
        "temporal_request_latency_seconds",
        "histogram",
        ("namespace", "service_name", "operation"),
        "Response time of the server for a client call.",
    ),
    Definition("temporal_sticky_cache_size", "gauge", _QUEUE, "Workflows in the worker's memory."),
    Definition(
        "temporal_sticky_cache_total_forced_eviction_total",
        "counter",
        _QUEUE,
        "Workflows removed from memory because the cache was full; each costs a replay.",
    ),
)

PROMETHEUS: Final = (
    Definition("up", "gauge", ("job", "instance"), "1 while Prometheus can read the target's `/metrics`."),
    Definition("process_resident_memory_bytes", "gauge", (), "Memory of the Python process."),
    Definition("process_cpu_seconds_total", "counter", (), "CPU time of the Python process."),
)
