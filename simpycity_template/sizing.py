"""How many connections an application needs: a simulation of requests that wait for them.

    python -m simpycity_template.sizing --rate 200 --query-time 0.02 --processes 3 --threads 8 --pool 5

Requests come at random moments, independent of each other, and go to any of the processes. Each
needs a thread of its process first, and then one of the process's connections, for a time that
varies at random around ``--query-time``: most are shorter, some are much longer. It is the
distribution of independent events, and what one assumes who knows only the mean.
"""

import argparse
import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from simpycity_template.process.pipes import reader_may_leave

RESERVED = 3  # PostgreSQL's superuser_reserved_connections
ENDS, GIVES_UP = 0, 1


@dataclass(frozen=True)
class Request:
    """One request: when it arrives and how long it needs a connection, in seconds."""

    arrival: float
    hold: float


@dataclass(frozen=True)
class Outcome:
    """What became of the requests.

    Arguments:
        waits: seconds that each waited for a connection, those that gave up included.
        timeouts: how many gave up.
        held: seconds of all connections in use, added up.
        thread_waits: seconds that each waited for a thread, before it asked for a connection.
        end: seconds until the last had its answer.
    """

    waits: list[float]
    timeouts: int
    held: float
    thread_waits: list[float]
    end: float

    @property
    def mean_wait(self) -> float:
        """Seconds that a request waited for a connection, in the mean."""
        return sum(self.waits) / len(self.waits) if self.waits else 0.0

    @property
    def mean_thread_wait(self) -> float:
        """Seconds that a request waited for a thread, in the mean."""
        waits = self.thread_waits
        return sum(waits) / len(waits) if waits else 0.0

    @property
    def timeout_share(self) -> float:
        """The share of the requests that gave up, from 0 to 1."""
        return self.timeouts / len(self.waits) if self.waits else 0.0

    def wait_below(self, share: float) -> float:
        """The seconds within which that share of the requests had its connection."""
        ordered = sorted(self.waits)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class _Process:
    """The threads and the connections of one process, from event to event."""

    def __init__(self, threads: int, pool: int, timeout: float) -> None:
        self.free_threads = threads
        self.free_connections = pool
        self.timeout = timeout
        self.backlog: deque[Request] = deque()
        # Who waits for a connection, by number, in order of arrival; and since when.
        self.queue: dict[int, tuple[float, Request]] = {}
        self.events: list[tuple[float, int, int]] = []
        self.numbers = 0
        self.waits: list[float] = []
        self.thread_waits: list[float] = []
        self.end = 0.0
        self.timeouts = 0
        self.held = 0.0

    def arrive(self, request: Request, now: float) -> None:
        """A request comes, and takes a thread and a connection, or waits for them."""
        if not self.free_threads:
            self.backlog.append(request)
            return
        self.free_threads -= 1
        self.thread_waits.append(now - request.arrival)
        if self.free_connections:
            self.free_connections -= 1
            self._take(request, now, waited=0.0)
        else:
            self.numbers += 1
            self.queue[self.numbers] = (now, request)
            heapq.heappush(self.events, (now + self.timeout, GIVES_UP, self.numbers))

    def next_event(self) -> None:
        """A request ends, or gives up waiting, whichever comes next."""
        now, event, number = heapq.heappop(self.events)
        if event == ENDS:
            if self.queue:
                since, request = self.queue.pop(next(iter(self.queue)))
                self._take(request, now, now - since)
            else:
                self.free_connections += 1
            self._leave(now)
        elif number in self.queue:
            del self.queue[number]
            self.timeouts += 1
            self.waits.append(self.timeout)
            self._leave(now)

    def _take(self, request: Request, now: float, waited: float) -> None:
        self.waits.append(waited)
        self.held += request.hold
        heapq.heappush(self.events, (now + request.hold, ENDS, 0))

    def _leave(self, now: float) -> None:
        self.end = now
        self.free_threads += 1
        if self.backlog:
            self.arrive(self.backlog.popleft(), now)


def requests(rate: float, query_time: float, seconds: float, random: Random) -> list[Request]:
    """Requests at random.

    Arguments:
        rate: requests a second, in the mean.
        query_time: seconds for which each needs a connection, in the mean.
        seconds: for how long they come.
        random: where the numbers come from.
    """
    made, now = [], random.expovariate(rate)
    while now < seconds:
        made.append(Request(now, random.expovariate(1 / query_time)))
        now += random.expovariate(rate)
    return made


def simulate(
    arriving: Iterable[Request], pool: int, threads: int, timeout: float = 30.0
) -> Outcome:
    """Let requests come to one process, and tell how they fared.

    Arguments:
        arriving: the requests, in order of arrival.
        pool: connections, ``pool_size`` and ``max_overflow`` together.
        threads: requests that the process works on at the same time.
        timeout: ``pool_timeout``, in seconds.
    """
    process = _Process(threads, pool, timeout)
    for request in arriving:
        while process.events and process.events[0][0] <= request.arrival:
            process.next_event()
        process.arrive(request, request.arrival)
    while process.events:
        process.next_event()
    return Outcome(process.waits, process.timeouts, process.held, process.thread_waits, process.end)


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcomes of several processes as one."""
    each = list(outcomes)
    return Outcome(
        [wait for outcome in each for wait in outcome.waits],
        sum(outcome.timeouts for outcome in each),
        sum(outcome.held for outcome in each),
        [wait for outcome in each for wait in outcome.thread_waits],
        max(outcome.end for outcome in each),
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 1 where it cannot work: too many connections, or too few for the load."""
    given = _parser().parse_args(arguments)
    random = Random(given.seed)
    outcome = together(
        simulate(
            requests(given.rate / given.processes, given.query_time, given.seconds, random),
            given.pool,
            given.threads,
            given.timeout,
        )
        for _ in range(given.processes)
    )
    most = given.processes * min(given.pool, given.threads)
    allowed = given.max_connections - RESERVED
    busy = outcome.held / (max(given.seconds, outcome.end) * most)
    with reader_may_leave():
        print(f"requests           {len(outcome.waits)} in {given.seconds:g} s")
        print(f"connections        {most} at most, of {allowed} that the server allows")
        print(f"in use             {busy:.0%} of these in the mean")
        print(f"wait for a thread  {outcome.mean_thread_wait * 1000:.1f} ms in the mean")
        print(f"wait, mean         {outcome.mean_wait * 1000:.1f} ms")
        print(f"wait, 95 % within  {outcome.wait_below(0.95) * 1000:.1f} ms")
        print(f"wait, 99 % within  {outcome.wait_below(0.99) * 1000:.1f} ms")
        print(f"timeouts           {outcome.timeout_share:.2%}")
    problem = _problem(most, allowed, needed=given.rate * given.query_time)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _problem(most: int, allowed: int, needed: float) -> str:
    """Why it cannot work with ``most`` connections; empty where it can."""
    if most > allowed:
        return (
            f"{most} connections are more than the server allows: make --pool, --threads or "
            "--processes smaller, raise max_connections, or put PgBouncer between"
        )
    if needed > most:
        return (
            f"the requests need {needed:g} connections in the mean, and can use {most}: whatever "
            "the waits are here, they grow for as long as the requests come; make --threads, "
            "--pool or --processes larger, or the queries faster"
        )
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simpycity_template.sizing",
        description="How long requests wait for a connection, and how many wait in vain.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    number, whole = _positive(float), _positive(int)
    parser.add_argument("--rate", type=number, required=True, help="requests a second, in all")
    parser.add_argument(
        "--query-time", type=number, required=True, help="seconds a request needs a connection"
    )
    parser.add_argument("--processes", type=whole, default=1, help="processes of the application")
    parser.add_argument("--threads", type=whole, default=8, help="threads in each process")
    parser.add_argument(
        "--pool", type=whole, default=15, help="pool_size + max_overflow, in each process"
    )
    parser.add_argument("--timeout", type=number, default=30.0, help="pool_timeout, in seconds")
    parser.add_argument("--max-connections", type=whole, default=100, help="the server's")
    parser.add_argument("--seconds", type=number, default=600.0, help="how long to simulate")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    return parser


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def positive(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    # What argparse calls it in a message.
    positive.__name__ = f"positive {'number' if kind is float else 'whole number'}"
    return positive


if __name__ == "__main__":
    sys.exit(main())
