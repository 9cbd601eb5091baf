"""The numbers of a manager for Prometheus, through prometheus_client (the extra ``prometheus``).

They are read when Prometheus asks, so a request pays nothing for them. Each process has its own:
where a server runs several, each of them must be asked.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from simpycity_template.manager import Manager

_GAUGES = {
    "waiting": ("waiting", "Threads that wait for a connection"),
    "max_connections": ("max_size", "The most connections there may be"),
}
_COUNTERS = {
    "connects": "Connections opened",
    "checkouts": "Connections handed to a scope",
    "checkins": "Connections that came back",
    "waits": "Connections that were waited for and got",
    "wait_seconds": "Seconds that connections were waited for",
    "timeouts": "PoolTimeout errors",
    "reconnects": "Connections found broken outside a transaction and replaced",
    "lost": "Transactions that broke off because their connection did",
    "hold_warnings": "Connections held longer than hold_warning",
}


class ManagerCollector(Collector):
    """``REGISTRY.register(ManagerCollector(manager))``: all of ``manager.metrics()``.

    The names begin with ``simpycity_``, and each number has its manager's name as a label. Several
    managers share one collector, because a registry takes each name from one only.
    """

    def __init__(self, *managers: Manager) -> None:
        self.managers = managers

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        now = [(manager.name, manager.metrics()) for manager in self.managers]
        states = GaugeMetricFamily(
            "simpycity_connections", "Connections by state", labels=["manager", "state"]
        )
        for name, metrics in now:
            for state in ("in_use", "idle", "opening"):
                states.add_metric([name, state], getattr(metrics, state))
        yield states
        for gauge, (attribute, text) in _GAUGES.items():
            family = GaugeMetricFamily(f"simpycity_{gauge}", text, labels=["manager"])
            for name, metrics in now:
                family.add_metric([name], getattr(metrics, attribute))
            yield family
        for counter, text in _COUNTERS.items():
            count = CounterMetricFamily(f"simpycity_{counter}", text, labels=["manager"])
            for name, metrics in now:
                count.add_metric([name], getattr(metrics, counter))
            yield count
        holds = HistogramMetricFamily(
            "simpycity_hold_seconds", "Seconds that connections were held", labels=["manager"]
        )
        for name, metrics in now:
            buckets = [
                ("+Inf" if bound == float("inf") else str(bound), float(count))
                for bound, count in metrics.hold_seconds.buckets
            ]
            holds.add_metric([name], buckets, metrics.hold_seconds.sum)
        yield holds
