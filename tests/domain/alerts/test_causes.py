"""Alerts of one cause come together; a consequence goes with what it follows from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.alerts.causes import CONSEQUENCES, GRAVE, causes_of, grouped

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class One:
    alert_id: str
    encounter_id: str | None = "enc_1"
    kind: str = "evidence_missing"
    severity: str = "warning"
    owner: str = "coordinator"
    title: str = "t"
    action: str = "a"
    citation: str = "G1"
    layer: str | None = None
    denial: int | None = None
    opened_at: datetime = NOW
    acknowledge_by: datetime = NOW + timedelta(hours=4)
    state: str = "open"
    escalations: int = 0


def test_a_certificate_is_one_cause_across_encounters_and_kinds() -> None:
    alerts = [
        One("a", "enc_1", "certification_missing", layer="fact"),
        One("b", "enc_2", "uncleared_collection_booked", layer="fact"),
        One("c", None, "certificate_expired", layer="fact"),
        One("d", "enc_1", "certification_missing", layer="rems_facility"),
    ]
    causes = causes_of(alerts)
    assert causes == dict.fromkeys("abc", "certificate.fact") | {"d": "certificate.rems_facility"}
    first = grouped(alerts)[0]
    assert (first.cause, first.encounters) == ("certificate.fact", ("enc_1", "enc_2"))


def test_a_held_claim_goes_with_what_holds_it_in_the_same_encounter_only() -> None:
    missing = One("a", "enc_1", "certification_missing", layer="fact", denial=1)
    held, elsewhere = One("b", "enc_1", "claim_held", denial=1), One("c", "enc_2", "claim_held", denial=1)
    assert causes_of([held, missing, elsewhere]) == {
        "a": "certificate.fact",
        "b": "certificate.fact",
        "c": "claim_held",
    }


def test_the_gravest_speaks_and_the_earliest_time_counts() -> None:
    late = replace(One("a"), acknowledge_by=NOW + timedelta(hours=1))
    grave = replace(One("b"), severity="critical")
    taken = replace(One("c"), state="acknowledged", acknowledge_by=NOW)
    (group,) = grouped([late, taken, grave])
    assert (group.severity, group.alerts[0].alert_id, group.open) == ("critical", "b", 2)
    assert group.acknowledge_by == late.acknowledge_by


ALERTS = st.lists(
    st.builds(
        One,
        alert_id=st.uuids().map(str),
        encounter_id=st.sampled_from(["enc_1", "enc_2", None]),
        kind=st.sampled_from(["evidence_missing", "certification_missing", *sorted(CONSEQUENCES)]),
        severity=st.sampled_from(GRAVE),
        layer=st.sampled_from([None, "fact"]),
        denial=st.sampled_from([None, 1, 2]),
        state=st.sampled_from(["open", "acknowledged"]),
    ),
    max_size=8,
    unique_by=lambda one: one.alert_id,
)


@given(ALERTS, st.randoms(use_true_random=False))
def test_every_alert_is_in_one_group_whatever_the_order(alerts: list[One], dice: object) -> None:
    groups = grouped(alerts)
    ids = [alert.alert_id for group in groups for alert in group.alerts]
    assert sorted(ids) == sorted(alert.alert_id for alert in alerts)
    dice.shuffle(alerts)  # type: ignore[attr-defined]
    assert grouped(alerts) == groups
