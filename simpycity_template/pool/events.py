"""What happens to connections, for those who listen, and how often each thing happened.

The pool fires an event only after it has released its lock. So a listener may ask for whatever the
manager knows, even where the garbage collector gave the connection back. But the scope does not
have its connection yet, so a listener must not query through the manager.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches

import psycopg2
from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.driver.connection import Connection
from simpycity_template.pool.owner import Holder

log = logging.getLogger("simpycity_template")

EVENTS = (
    "connect",
    "checkout",
    "checkin",
    "wait",
    "timeout",
    "reconnect",
    "lost",
    "hold_warning",
)

HOLD_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0)
"""Upper bounds, in seconds, of the histogram of hold times; above the last there is no bound."""


@dataclass(frozen=True)
class Event:
    """What a listener is told.

    Arguments:
        name: one of ``EVENTS``.
        holder: on whose behalf it happened: its ``label``, ``thread``, ``place``, ``last_sql``.
        seconds: for ``checkin`` and ``hold_warning`` how long the connection was held, for
            ``wait`` and ``timeout`` how long its thread waited for one; otherwise 0.
        connection: the psycopg2 connection, where the listener may use it: for ``connect`` and
            ``checkout``; otherwise None.
    """

    name: str
    holder: Holder
    seconds: float = 0.0
    connection: psycopg2_connection | None = None


Listener = Callable[[Event], object]


class Events:
    """The listeners of one manager, and its counts.

    Attributes:
        counts: how often each event happened in this process.
        seconds: the sum of the seconds of each event.
        holds: how many hold times there were up to each of ``HOLD_BUCKETS`` and above the one
            before it; the last entry counts those above all of them.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {name: [] for name in EVENTS}
        self.forked()

    def forked(self) -> None:
        """A child process counts from zero; what listens goes on listening."""
        self.counts = dict.fromkeys(EVENTS, 0)
        self.seconds = dict.fromkeys(EVENTS, 0.0)
        self.holds = [0] * (len(HOLD_BUCKETS) + 1)

    def listen(self, name: str, listener: Listener) -> None:
        """Call ``listener`` with an ``Event`` at each event of that name."""
        self._of(name).append(listener)

    def unlisten(self, name: str, listener: Listener) -> None:
        """Call ``listener`` no more."""
        listeners = self._of(name)
        if listener not in listeners:
            raise ValueError(f"{listener!r} does not listen to {name!r}")
        listeners.remove(listener)

    def fire(
        self,
        name: str,
        holder: Holder,
        seconds: float | None = None,
        connection: Connection | None = None,
    ) -> None:
        """Count an event and tell its listeners. Never raises but for Ctrl-C and its like."""
        # No lock: between reading and writing a dictionary's number no other thread gets its turn.
        self.counts[name] += 1
        if seconds is not None:
            self.seconds[name] += seconds
            if name == "checkin":
                self.holds[bisect_left(HOLD_BUCKETS, seconds)] += 1
        if self._listeners[name]:
            with connection.lent() if connection else nullcontext():
                self._tell(Event(name, holder, seconds or 0.0, connection))

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners[event.name]):
            try:
                listener(event)
            except Exception:
                log.exception("a listener to %r failed: %r", event.name, listener)
                _roll_back(event.connection)
            except BaseException:
                if event.connection is not None:
                    # It may have prepared the session by half, for all who use it later.
                    event.connection.close()
                raise

    def _of(self, name: str) -> list[Listener]:
        if name not in self._listeners:
            close = get_close_matches(str(name), EVENTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(EVENTS)}"
            raise ValueError(f"there is no event {name!r}: {hint}")
        return self._listeners[name]


def _roll_back(connection: psycopg2_connection | None) -> None:
    """The holder must not begin in a transaction that a listener has spoilt."""
    if connection is not None:
        try:
            connection.rollback()
        except psycopg2.Error:
            # It broke, and the holder's first statement will tell.
            pass
