"""The numbers of a manager for OpenTelemetry (the extra ``opentelemetry``).

The names are those of its semantic conventions for pools of connections, ``db.client.connection.*``.
"""

from collections.abc import Callable, Iterator

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter

from simpycity_template.manager import Manager
from simpycity_template.pool.events import HOLD_BUCKETS, Event
from simpycity_template.pool.metrics import Metrics

_PREFIX = "db.client.connection."
_POOL = f"{_PREFIX}pool.name"
_STATE = f"{_PREFIX}state"


def observe(*managers: Manager, meter_provider: MeterProvider | None = None) -> None:
    """Tell OpenTelemetry of the connections of ``managers``; call it once in each process.

    Arguments:
        managers: whose connections; their names are the names of the pools.
        meter_provider: where the numbers go; by default OpenTelemetry's own.
    """
    meter = get_meter("simpycity_template", meter_provider=meter_provider)
    _observe_now(meter, managers)
    _record_times(meter, managers)


def _observe_now(meter: Meter, managers: tuple[Manager, ...]) -> None:
    """Numbers that are read when a reader asks, so a request pays nothing for them."""

    def each(
        of: Callable[[Manager], int],
    ) -> list[Callable[[CallbackOptions], Iterator[Observation]]]:
        def observed(options: CallbackOptions) -> Iterator[Observation]:
            for manager in managers:
                yield Observation(of(manager), {_POOL: manager.name})

        return [observed]

    def metrics(name: str) -> Callable[[Manager], int]:
        return lambda manager: int(getattr(manager.metrics(), name))

    def kept(manager: Manager) -> int:
        return manager.settings.pool_size if manager.settings else 0

    def states(options: CallbackOptions) -> Iterator[Observation]:
        for manager in managers:
            for state, number in _by_state(manager.metrics()).items():
                yield Observation(number, {_POOL: manager.name, _STATE: state})

    gauge, unit = meter.create_observable_up_down_counter, "{connection}"
    gauge(f"{_PREFIX}count", [states], unit, "Connections by state")
    gauge(f"{_PREFIX}idle.max", each(kept), unit, "The most idle connections that are kept")
    gauge(f"{_PREFIX}idle.min", each(lambda manager: 0), unit, "The least that are kept")
    gauge(f"{_PREFIX}max", each(metrics("max_size")), unit, "The most connections there may be")
    gauge(f"{_PREFIX}pending_requests", each(metrics("waiting")), "{request}", "Threads that wait")
    meter.create_observable_counter(
        f"{_PREFIX}timeouts", each(metrics("timeouts")), "{timeout}", "PoolTimeout errors"
    )


def _by_state(metrics: Metrics) -> dict[str, int]:
    # One that is being opened is somebody's already.
    return {"idle": metrics.idle, "used": metrics.in_use + metrics.opening}


def _record_times(meter: Meter, managers: tuple[Manager, ...]) -> None:
    create, wait, use = (
        meter.create_histogram(
            f"{_PREFIX}{name}", "s", text, explicit_bucket_boundaries_advisory=HOLD_BUCKETS
        )
        for name, text in {
            "create_time": "How long it took to open a connection",
            "wait_time": "How long a connection was waited for",
            "use_time": "How long a connection was held",
        }.items()
    )

    def listen(manager: Manager) -> None:
        pool = {_POOL: manager.name}

        def opened(event: Event) -> None:
            # It also comes after a DISCARD ALL, which opens nothing.
            if event.seconds:
                create.record(event.seconds, pool)

        def got(event: Event) -> None:
            if not event.holder.waited:
                wait.record(0.0, pool)

        manager.listen("connect", opened)
        manager.listen("checkout", got)
        manager.listen("wait", lambda event: wait.record(event.seconds, pool))
        manager.listen("checkin", lambda event: use.record(event.seconds, pool))

    for manager in managers:
        listen(manager)
