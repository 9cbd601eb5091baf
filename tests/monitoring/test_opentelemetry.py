"""OpenTelemetry gets the numbers of a manager, under the names of its conventions."""

import re
import threading

import pytest
from pages import ROOT, blocks
from simpycity.core import Raw
from support import PATIENCE, until

from simpycity_template import PoolTimeout

metrics_sdk = pytest.importorskip(
    "opentelemetry.sdk.metrics", reason="the extra 'opentelemetry' and its SDK are not installed"
)
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402

from simpycity_template.monitoring.opentelemetry import observe  # noqa: E402

one = Raw("SELECT 1")


@pytest.fixture
def provider():
    """What has a reader, and the reader."""
    reader = InMemoryMetricReader()
    provider = metrics_sdk.MeterProvider([reader], shutdown_on_exit=False)
    yield provider, reader
    provider.shutdown()


def read(reader):
    """Each metric's value, or the count and sum of its histogram, by name, pool and state."""
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    labels = dict(point.attributes)
                    key = (
                        metric.name.removeprefix("db.client.connection."),
                        labels.pop("db.client.connection.pool.name"),
                        *labels.values(),
                    )
                    value = getattr(point, "value", None)
                    found[key] = value if value is not None else (point.count, point.sum)
    return found


def test_every_number_is_there_by_the_name_of_its_pool(make_manager, provider):
    manager = make_manager(pool_size=2, max_overflow=0, pool_timeout=0.01)
    other = make_manager(pool_size=3, max_overflow=4)
    provider, reader = provider
    observe(manager, other, meter_provider=provider)
    with manager.scope("outer"), manager.scope("inner"):
        manager.handle().execute("SELECT 1")
    with manager.scope("outer"):
        held = [manager.open(), manager.open()]
        with pytest.raises(PoolTimeout):
            held.append(manager.open())
    with manager.scope("now"):
        manager.handle().execute("SELECT 1")
        found = read(reader)
    name = manager.name
    assert found["count", name, "used"] == found["count", name, "idle"] == 1
    assert (found["max", name], found["idle.max", name], found["idle.min", name]) == (2, 2, 0)
    assert (found["timeouts", name], found["pending_requests", name]) == (1, 0)
    assert found["create_time", name][0] == 2 and found["create_time", name][1] > 0
    assert found["wait_time", name] == (4, 0.0)
    assert found["use_time", name][0] == 3 and found["use_time", name][1] > 0
    assert (found["max", other.name], found["count", other.name, "used"]) == (7, 0)


def test_who_waits_is_a_pending_request_and_then_a_wait_time(make_manager, provider):
    manager = make_manager(pool_size=1, max_overflow=0)
    provider, reader = provider
    observe(manager, meter_provider=provider)

    def wait():
        with manager.scope("waiter"):
            manager.handle().execute("SELECT 1")

    thread = threading.Thread(target=wait)
    with manager.scope("holder"):
        manager.handle().execute("SELECT 1")
        thread.start()
        until(manager.waiting)
        assert read(reader)["pending_requests", manager.name] == 1
    thread.join(PATIENCE)
    count, seconds = read(reader)["wait_time", manager.name]
    assert count == 2 and seconds > 0


def test_a_reset_by_discard_opens_no_connection(make_manager, provider):
    manager = make_manager(pool_reset="discard")
    provider, reader = provider
    observe(manager, meter_provider=provider)
    for _ in range(2):
        with manager.scope("x"):
            manager.handle().execute("SELECT 1")
    assert read(reader)["create_time", manager.name][0] == 1


def test_the_page_names_each_metric(manager, provider, monkeypatch):
    page = "docs/monitoring.rst"
    (code,) = (one.text for one in blocks(page, "python") if "opentelemetry" in one.text)
    provider, reader = provider
    # The one of a process cannot be set twice.
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: provider)
    exec(code, {"manager": manager})
    manager.handle().execute("SELECT 1")
    manager.cleanup()
    told = {name for name, *_ in read(reader)}
    shown = re.findall(r"(?m)^``db\.client\.connection\.([\w.]+)``", (ROOT / page).read_text())
    assert told == set(shown)
