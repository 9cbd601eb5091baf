"""Who has which connection, who waits for one, and which are idle: tables under one lock.

Who wants a connection and finds none stands in the queue, and ``_assign()`` gives what is free to who is
first. ``_give()`` is the one step in which anybody gets anything: an idle connection, or permission
to open one. ``_drain()`` is the one way back, whatever the owner had: a place in the queue, permission
to open a connection, or a connection. All of them edit the tables under the lock, and do nothing else there.

A destructor that the garbage collector runs may give a connection back at any time, also while the
same thread is editing the tables. So what comes back is put into ``_returned``, and whoever has
released the lock calls ``_drain()``. And because there is no counter, none can be wrong: how many
connections there are is how many the tables hold.
"""

import threading
from collections import deque
from time import monotonic

from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import IDLE
from simpycity_template.driver.terminate import terminate
from simpycity_template.pool.events import Events
from simpycity_template.pool.metrics import Now
from simpycity_template.pool.owner import Owner, Status
from simpycity_template.pool.report import in_use
from simpycity_template.process.signals import empty
from simpycity_template.settings import Settings


class Tables:
    """The owners of connections, those that wait, and the idle connections."""

    def __init__(self, settings: Settings, events: Events) -> None:
        """
        Arguments:
            settings: how many connections there may be, and how many are kept.
            events: count what comes back, and call the listeners, never under the lock.
        """
        self.settings = settings
        self._events = events
        self._closed = False
        self._start()

    def _start(self) -> None:
        # Reentrant only because such a lock can say whether this thread has it: _is_owned().
        self._lock = threading.RLock()
        self._queue: deque[Owner] = deque()
        self._owners: set[Owner] = set()
        self._idle: list[Connection] = []
        self._returned: deque[Owner] = deque()
        self._dropped: deque[Connection] = deque()

    def _drain(self, owner: Owner | None = None) -> None:
        """Put what came back where it belongs, and give it to who waits.

        Whoever has released the lock calls this. Where this thread itself has the lock, the garbage
        collector has interrupted its editing, and it will drain afterwards.

        Arguments:
            owner: comes back with whatever it has, once or more than once. Its connection is kept
                for the next owner where it is clean, and closed elsewhere.
        """
        returned, lock = self._returned, self._lock
        if owner is not None:
            returned.append(owner)
        while returned and not lock._is_owned():  # type: ignore[attr-defined]
            now = monotonic()
            with lock:
                if not returned:
                    break
                owner = returned[0]
                # Its thread may take another connection as soon as this is over.
                connection, lost, held = owner.connection, owner.lost, 0.0
                if owner.served is not None and owner in self._queue:
                    self._queue.remove(owner)
                self._owners.discard(owner)
                if connection is not None:
                    held, connection.idle_since = now - owner.since, now
                    keep = (
                        now < connection.expires
                        and not self._closed
                        and not connection.closed
                        # Ctrl-C may have come before its ROLLBACK.
                        and connection.get_transaction_status() == IDLE
                    )
                    # Both at once, so that no interruption comes between.
                    owner.connection = None
                    (self._idle if keep else self._dropped).append(connection)
                if self._queue:
                    self._assign(now)
                elif len(self._idle) > self.settings.pool_size:
                    self._trim()
                # Last, so that an interruption does not lose it.
                returned.popleft()
            if connection is not None:
                if lost:
                    self._events.fire("lost", owner)
                self._events.checked_in(owner, held)
        if self._dropped:
            empty(self._dropped, _close)

    # --- the steps; the lock is held ---

    def _give(self, owner: Owner, now: float) -> bool:
        """Give ``owner`` an idle connection, or permission to open one; return whether it got either.

        What moves is in two tables for a moment, and never in none, so that an interruption loses
        nothing.
        """
        idle = self._idle
        while idle and owner.dsn is None:
            connection = idle[-1]
            if now < connection.expires:
                owner.connection = connection
                del idle[-1]
                self._owners.add(owner)
                return True
            self._dropped.append(connection)
            del idle[-1]
        if len(self._owners) + len(idle) >= self.settings.max_size:
            if not idle:
                return False
            # It is of another database than the owner wants.
            self._dropped.append(idle[0])
            del idle[0]
        self._owners.add(owner)
        return True

    def _assign(self, now: float) -> None:
        """Give what is free to who waits, in the order of the queue."""
        queue = self._queue
        while queue and (queue[0] in self._owners or self._give(queue[0], now)):
            # First, so that an interruption leaves no one asleep.
            queue[0].serve()
            queue.popleft()

    def _trim(self) -> None:
        """Keep no more than ``pool_size`` idle connections, once a burst is over.

        While that many are in use, somebody is likely to want another one at once.
        """
        size = self.settings.pool_size
        if len(self._owners) < size or not size:
            while len(self._idle) > size:
                self._dropped.append(self._idle[0])
                del self._idle[0]

    # --- what there is; nothing of this takes the lock ---

    def owners(self) -> list[Owner]:
        """Who has a connection now."""
        return [owner for owner in list(self._owners) if owner.connection is not None]

    def waiting(self) -> list[Owner]:
        """Who waits for a connection now, in the order of the queue."""
        return list(self._queue)

    def status(self) -> list[Status]:
        """One entry for each open connection, those in use first, the oldest owner first."""
        now = monotonic()
        return in_use(self.owners(), now) + [
            Status(connection.backend_pid, "idle", "idle", now - connection.idle_since)
            for connection in list(self._idle)
        ]

    def now(self) -> Now:
        """The numbers of this moment."""
        owners = list(self._owners)
        used = sum(owner.connection is not None for owner in owners)
        return Now(used, len(self._idle), len(owners) - used, len(self._queue))

    def _is_opening(self) -> bool:
        """Whether a thread is still opening a connection, or has one that is not closed yet."""
        connections = [owner.connection for owner in list(self._owners)]
        return any(connection is None or not connection.closed for connection in connections)


def _close(connection: Connection) -> None:
    if connection.handed_out:
        # close() would wait for a statement of whoever has it.
        terminate(connection)
    else:
        connection.close()
