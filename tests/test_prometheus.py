"""Prometheus gets the numbers of a manager."""

import re
from wsgiref.util import setup_testing_defaults

import pytest
from pages import ROOT, blocks
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


def test_several_managers_share_a_collector(make_manager):
    managers = [make_manager(pool_size=size, max_overflow=0) for size in (2, 3)]
    registry = prometheus_client.CollectorRegistry(auto_describe=True)
    registry.register(ManagerCollector(*managers))
    for manager in managers:
        labels = {"manager": manager.name}
        most = registry.get_sample_value("simpycity_max_connections", labels)
        assert most == manager.metrics().max_size
        for name in ("simpycity_connects_total", "simpycity_hold_seconds_count"):
            assert registry.get_sample_value(name, labels) == 0
        labels["state"] = "idle"
        assert registry.get_sample_value("simpycity_connections", labels) == 0


def test_the_endpoint_on_the_page_answers_with_the_numbers_of_its_table(manager):
    page = "docs/monitoring.rst"
    (code,) = (one.text for one in blocks(page, "python") if "ManagerCollector" in one.text)
    names = {"manager": manager, "application": lambda environ, start_response: [b"the others"]}
    before = set(prometheus_client.REGISTRY._collector_to_names)
    try:
        exec(code, names)
        answers = [get(names["with_numbers"], path) for path in ("/metrics", "/")]
    finally:
        for ours in set(prometheus_client.REGISTRY._collector_to_names) - before:
            prometheus_client.REGISTRY.unregister(ours)
    assert answers[1] == "the others"
    told = re.findall(r"(?m)^# TYPE (simpycity_\w+) (\w+)", answers[0])
    shown = re.findall(r"``(simpycity_\w+)`` +(gauge|counter|histo)", (ROOT / page).read_text())
    assert [(name, kind[:5]) for name, kind in told] == [(name, kind[:5]) for name, kind in shown]


def get(application, path):
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    return b"".join(application(environ, lambda status, headers: None)).decode()
