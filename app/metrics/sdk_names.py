"""The metrics of the Temporal SDK and of Prometheus itself that rules and dashboards use, as the worker exposes them."""

from __future__ import annotations

from typing import Final

from app.metrics.definitions import Definition

_QUEUE = ("namespace", "service_name", "task_queue")

SDK: Final = (
    Definition(
        "temporal_workflow_task_execution_failed_total",
        "counter",
        (*_QUEUE, "workflow_type", "failure_reason"),
        "Workflow tasks that raised; the server tries them again for ever, so a rising count is a stuck workflow.",
    ),
    Definition(
        "temporal_num_pollers",
        "gauge",
        (*_QUEUE, "poller_type"),
        "Polls under way: workflow, sticky and activity tasks.",
    ),
    Definition(
        "temporal_worker_task_slots_available", "gauge", (*_QUEUE, "worker_type"), "Slots free for further tasks."
    ),
    Definition("temporal_worker_task_slots_used", "gauge", (*_QUEUE, "worker_type"), "Slots taken by running tasks."),
    Definition(
        "temporal_workflow_task_schedule_to_start_latency_seconds",
        "histogram",
        _QUEUE,
        "How long a workflow task lay in the queue before a worker took it.",
    ),
    Definition(
        "temporal_activity_schedule_to_start_latency_seconds",
        "histogram",
        _QUEUE,
        "How long an activity lay in the queue before a worker took it.",
    ),
    Definition(
        "temporal_activity_execution_latency_seconds",
        "histogram",
        (*_QUEUE, "activity_type"),
        "How long one attempt of an activity took.",
    ),
    Definition(
        "temporal_activity_execution_failed_total",
        "counter",
        (*_QUEUE, "activity_type", "failure_reason"),
        "Attempts of activities that failed and are tried again; absent until the first.",
    ),
    Definition(
        "temporal_local_activity_execution_failed_total",
        "counter",
        (*_QUEUE, "workflow_type", "activity_type", "failure_reason"),
        "The same of local activities, `decide` among them; absent until the first.",
    ),
    Definition(
        "temporal_local_activity_execution_latency_seconds",
        "histogram",
        (*_QUEUE, "activity_type"),
        "How long one attempt of a local activity took.",
    ),
    Definition(
        "temporal_request_latency_seconds",
        "histogram",
        ("namespace", "service_name", "operation"),
        "How long the server took to answer a call of the client.",
    ),
    Definition("temporal_sticky_cache_size", "gauge", _QUEUE, "Workflows that the worker keeps in memory."),
    Definition(
        "temporal_sticky_cache_total_forced_eviction_total",
        "counter",
        _QUEUE,
        "Workflows dropped from memory for want of room; each costs a replay.",
    ),
)

PROMETHEUS: Final = (
    Definition("up", "gauge", ("job", "instance"), "1 while Prometheus can read the target's `/metrics`."),
    Definition("process_resident_memory_bytes", "gauge", (), "Memory of the Python process."),
    Definition("process_cpu_seconds_total", "counter", (), "Processor time of the Python process."),
)
