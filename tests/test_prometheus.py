"""Prometheus gets the numbers of a manager."""

import pytest
from simpycity.core import Raw

prometheus_client = pytest.importorskip(
    "prometheus_client", reason="the extra 'prometheus' is not installed"
)
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from simpycity_template.prometheus import ManagerCollector  # noqa: E402


def test_every_number_is_there_with_the_managers_name(make_manager):
    manager = make_manager(pool_size=2, max_overflow=3)
    registry = prometheus_client.CollectorRegistry()
    registry.register(ManagerCollector(manager))
    with manager.scope("before"):
        Raw("SELECT 1")()
    Raw("SELECT 1")()
    text = prometheus_client.generate_latest(registry).decode()
    numbers = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.pop("manager") == manager.name
            numbers[(sample.name, *sample.labels.values())] = sample.value
    assert numbers["simpycity_connections", "in_use"] == 1
    assert numbers["simpycity_connections", "idle"] == 0
    assert numbers["simpycity_max_connections",] == 5
    assert numbers["simpycity_connects_total",] == 1
    assert numbers["simpycity_checkouts_total",] == 2
    assert numbers["simpycity_checkins_total",] == 1
    assert numbers["simpycity_hold_seconds_count",] == 1
    assert numbers["simpycity_hold_seconds_bucket", "+Inf"] == 1
    assert numbers["simpycity_timeouts_total",] == numbers["simpycity_lost_total",] == 0
    assert text.count("# HELP") == 13
