"""The numbers of a manager: what its connections do now, and what has happened so far."""

from dataclasses import dataclass
from itertools import accumulate

from simpycity_template.pool.events import HOLD_BUCKETS, Events


@dataclass(frozen=True)
class Histogram:
    """How long things took.

    Arguments:
        buckets: pairs of an upper bound in seconds and how many took no longer than that; the
            last bound is infinite.
        sum: seconds of all together.
    """

    buckets: tuple[tuple[float, int], ...]
    sum: float

    @property
    def count(self) -> int:
        """How many there were."""
        return self.buckets[-1][1]


@dataclass(frozen=True)
class Metrics:
    """What ``manager.metrics()`` returns, of this process alone.

    Arguments:
        in_use: connections that a scope has now.
        idle: connections that wait in the pool now.
        opening: connections that are being opened now.
        waiting: threads that wait for a connection now.
        max_size: how many connections may be open at once.
        connects: connections opened since the start of the process, as all that follow.
        checkouts: connections handed to a scope.
        checkins: connections that came back.
        waits: connections that a thread had to wait for, and got.
        wait_seconds: how long it waited for them, all together.
        timeouts: ``PoolTimeout`` errors.
        reconnects: connections that were found broken outside a transaction, and replaced.
        lost: transactions that broke off because their connection did.
        hold_warnings: connections held longer than ``hold_warning``.
        hold_seconds: how long connections were held that have come back.
    """

    in_use: int
    idle: int
    opening: int
    waiting: int
    max_size: int
    connects: int
    checkouts: int
    checkins: int
    waits: int
    wait_seconds: float
    timeouts: int
    reconnects: int
    lost: int
    hold_warnings: int
    hold_seconds: Histogram


@dataclass(frozen=True)
class Now:
    """The numbers of a pool at this moment, as ``Metrics`` names them."""

    in_use: int
    idle: int
    opening: int
    waiting: int


def measured(now: Now, max_size: int, events: Events) -> Metrics:
    """Put the numbers of now and those of the past together."""
    counts = events.counts
    bounds = (*HOLD_BUCKETS, float("inf"))
    return Metrics(
        in_use=now.in_use,
        idle=now.idle,
        opening=now.opening,
        waiting=now.waiting,
        max_size=max_size,
        connects=counts["connect"],
        checkouts=counts["checkout"],
        checkins=sum(events.holds),
        waits=counts["wait"],
        wait_seconds=events.waited,
        timeouts=counts["timeout"],
        reconnects=counts["reconnect"],
        lost=counts["lost"],
        hold_warnings=counts["hold_warning"],
        hold_seconds=Histogram(
            tuple(zip(bounds, accumulate(events.holds), strict=True)), events.held
        ),
    )
