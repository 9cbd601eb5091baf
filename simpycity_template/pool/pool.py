"""Connections that are kept, handed to one owner after the other, and never more than allowed.

Who wants a connection stands in the queue, and ``_assign()`` gives what is free to who is first: an
idle connection, or leave to open one. That is the one step in which anybody gets anything, and
``release()`` is the one way back, whatever the owner had: a place in the queue, leave to open a
connection, or a connection. Both edit a few tables under the lock, and do nothing else there.

A destructor that the garbage collector runs may give a connection back at any time, also while the
same thread is editing the tables. So what comes back is put into ``_returned``, and whoever has
released the lock calls ``_drain()``. And because there is no counter, none can be wrong: how many
connections there are is how many the tables hold.
"""

import random
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic, sleep
from typing import Any

import psycopg2

from simpycity_template.driver import sql_comment
from simpycity_template.driver.check_socket import became_read_only, is_alive
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import IDLE
from simpycity_template.driver.terminate import CANCEL_INTERVAL, terminate, terminate_deadline
from simpycity_template.driver.traced_cursor import connect_traced
from simpycity_template.pool.call_site import from_here
from simpycity_template.pool.events import Event, Events
from simpycity_template.pool.leak_detector import LeakDetector
from simpycity_template.pool.metrics import Now
from simpycity_template.pool.owner import Owner, Status
from simpycity_template.pool.report import in_use, timeout_error
from simpycity_template.process import fork
from simpycity_template.settings import NEVER, Settings

RECYCLE_JITTER = 0.1
"""The part of ``pool_recycle`` by which lifetimes differ: those opened together end one by one."""


class Pool:
    """The connections of a manager, at most ``settings.max_size`` at once."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        connect: Callable[..., Any],
        events: Events | None = None,
    ) -> None:
        """
        Arguments:
            name: what the sessions are called in ``pg_stat_activity.application_name``,
                unless the DSN says otherwise.
            settings: sizes, times and session defaults.
            connect: as ``psycopg2.connect``; None as its DSN is that of the settings.
            events: counts what happens to the connections, and calls the listeners, never under
                the lock; those of the manager, as a rule.
        """
        self.name = name
        self.settings = settings
        self._tagged = settings.tag_statements
        self._discards = settings.pool_reset == "discard"
        self._connect = connect
        self._events = events or Events()
        self._detector = LeakDetector(self.owners, settings.hold_warning, self._events)
        self._closed = False
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        # Reentrant for the sake of _is_owned() alone.
        self._lock = threading.RLock()
        self._queue: deque[Owner] = deque()
        self._owners: set[Owner] = set()
        self._idle: list[Connection] = []
        self._returned: deque[Owner] = deque()
        self._dropped: deque[Connection] = deque()

    # --- there ---

    def acquire(self, owner: Owner) -> Connection:
        """Give ``owner`` a connection, waiting while all are in use.

        Whatever this raises, ``release(owner)`` has to follow.

        Raises:
            PoolTimeout: none became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
            psycopg2.InterfaceError: the pool was closed.
        """
        if self._lock._is_owned():  # type: ignore[attr-defined]
            raise psycopg2.InterfaceError(
                f"a destructor or a signal handler asks {self.name!r} for a connection while the "
                "same thread was handing one out: do not query there"
            )
        owner.since = monotonic()
        with self._lock:
            if self._closed:
                raise self._was_closed()
            self._queue.append(owner)
            self._assign(owner.since)
            if self._queue and owner not in self._owners:
                owner.served = threading.Event()
        if self._returned or self._dropped:
            self._drain()
        if owner.served is not None:
            self._wait(owner, owner.served)
        connection = owner.connection
        if connection is None or not is_alive(connection):
            connection = self._open(owner)
        connection.owner = owner
        connection.statements = self._events.statements
        if self._tagged:
            owner.comment = sql_comment.comment(owner.label, owner.thread, from_here(owner.place))
        if owner.isolation_level is not None:
            # Before anybody begins a transaction, which this would roll back.
            connection.set_level(owner.isolation_level)
        self._events.fire("checkout", owner, 0.0, connection)
        return connection

    def _assign(self, now: float) -> None:
        """Give what is free to who waits, in the order of the queue. The lock is held.

        An owner is among the owners before it leaves the queue, so that an interruption loses
        nobody.
        """
        while self._queue:
            owner = self._queue[0]
            if self._idle and owner.dsn is None:
                # In two tables for a moment, and never in none.
                connection = self._idle[-1]
                if now >= connection.expires:
                    self._dropped.append(connection)
                    del self._idle[-1]
                    continue
                owner.connection = connection
                del self._idle[-1]
            elif len(self._owners) + len(self._idle) >= self.settings.max_size:
                if not self._idle:
                    return
                # It is of another database than the owner wants.
                self._dropped.append(self._idle[0])
                del self._idle[0]
            self._owners.add(owner)
            self._queue.popleft()
            if owner.served is not None:
                owner.served.set()

    def _wait(self, owner: Owner, served: threading.Event) -> None:
        began = owner.since
        # It may be served at the last moment.
        if not served.wait(self.settings.pool_timeout) and owner not in self._owners:
            self._events.fire("timeout", owner, monotonic() - began)
            raise timeout_error(self.name, self.settings, list(self._owners))
        if self._closed:
            raise self._was_closed()
        owner.since = monotonic()
        self._events.fire("wait", owner, owner.since - began)

    def _open(self, owner: Owner) -> Connection:
        """Open a connection, in place of one that broke while idle where ``owner`` has that."""
        broken, owner.connection = owner.connection, None
        if broken is not None:
            # Not close(), which would wait for a statement of whoever it was handed out to.
            terminate(broken)
            self._events.fire("reconnect", owner)
        settings, began = self.settings, monotonic()
        connection = connect_traced(self._connect, owner.dsn, Connection, self.name)
        owner.connection = connection
        owner.since = monotonic()
        if self._closed:
            raise self._was_closed()
        self._detector.start()
        if self.settings.isolation_level is not None:
            connection.set_isolation_level(self.settings.isolation_level)
        self._events.fire("connect", owner, owner.since - began, connection)
        self._prepared(connection)
        if self.settings is settings:
            # Last: one that is not prepared to its end, or that logged in as it was before renew(),
            # has expired when it comes back.
            connection.expires = connection.opened + _lifetime(settings.pool_recycle)
        return connection

    def _prepared(self, connection: Connection) -> None:
        # It may have written COMMIT as SQL.
        connection.sync_state()
        if connection.get_transaction_status() != IDLE:
            # What a listener did not commit must not be committed with the owner's work.
            connection.rollback()
        connection.remember_session()

    # --- and back ---

    def reset(self, owner: Owner, connection: Connection) -> None:
        """Make the connection of ``owner`` as good as new, before it is released.

        Raises:
            psycopg2.Error: that failed, and the connection must be terminated.
        """
        if self._events.lost_writes is not None:
            self._events.lost_writes.look(owner, connection)
        connection.reset_state()
        if self._discards:
            connection.discard()
            # What they have set of the session is gone, too.
            self._events.call(Event("connect", owner, 0.0, connection), connection)
            self._prepared(connection)

    def release(self, owner: Owner) -> None:
        """Take back whatever ``owner`` has, once or more than once.

        Its connection is kept for the next owner where it is clean, and closed elsewhere.
        """
        self._returned.append(owner)
        self._drain()

    def _drain(self) -> None:
        """Put what came back where it belongs, and give it to who waits.

        Whoever has released the lock calls this. Where this thread itself has the lock, the garbage
        collector has interrupted its editing, and it will drain afterwards.
        """
        while self._returned and not self._lock._is_owned():  # type: ignore[attr-defined]
            now = monotonic()
            with self._lock:
                if not self._returned:
                    break
                owner = self._returned[0]
                had = self._take_back(owner, now)
                if self._queue:
                    self._assign(now)
                elif len(self._idle) > self.settings.pool_size:
                    self._trim()
                # Last, so that an interruption does not lose it.
                self._returned.popleft()
            if had:
                if owner.lost:
                    self._events.fire("lost", owner)
                self._events.checked_in(owner, now - owner.since)
        while self._dropped:
            try:
                connection = self._dropped[0]
            except IndexError:
                # Another thread drains, too.
                break
            connection.close()
            with suppress(ValueError):
                # Last, as above.
                self._dropped.remove(connection)

    def _take_back(self, owner: Owner, now: float) -> bool:
        """Take ``owner`` out of the tables; whether it had a connection."""
        if owner in self._queue:
            self._queue.remove(owner)
        self._owners.discard(owner)
        connection = owner.connection
        if connection is None:
            return False
        connection.owner = None
        keep = not (
            connection.closed
            or self._closed
            or owner.dsn is not None
            or now >= connection.expires
            # Ctrl-C may have come before its ROLLBACK.
            or connection.get_transaction_status() != IDLE
            # Who sent nothing had no answer that says so.
            or ((owner.last_sql or connection.handed_out) and became_read_only(connection))
        )
        connection.idle_since = now
        # Both at once, so that no interruption comes between.
        owner.connection = None
        (self._idle if keep else self._dropped).append(connection)
        return True

    def _trim(self) -> None:
        """Keep no more than ``pool_size`` idle connections, once a burst is over.

        While that many are in use, somebody is likely to want another one at once. The lock is held.
        """
        size = self.settings.pool_size
        if len(self._owners) < size or not size:
            while len(self._idle) > size:
                self._dropped.append(self._idle[0])
                del self._idle[0]

    def renew(self, settings: Settings) -> None:
        """Log in anew for each connection from now on; what is in use is finished with.

        Arguments:
            settings: those of before, but for how to log in.
        """
        with self._lock:
            self.settings = settings
            self._dropped.extend(self._idle)
            self._idle.clear()
            for owner in self._owners:
                if owner.connection is not None:
                    owner.connection.expires = 0.0
        self._drain()

    def close(self) -> None:
        """Close every connection; those in use are cancelled first. The pool is not used again."""
        with self._lock:
            self._closed = True
            connections = [owner.connection for owner in self._owners] + list(self._idle)
            self._idle.clear()
            waiting = list(self._queue)
            self._queue.clear()
        for owner in waiting:
            if owner.served is not None:
                owner.served.set()
        deadline = terminate_deadline()
        for connection in connections:
            if connection is not None:
                terminate(connection, deadline)
        # A thread that is still connecting closes its connection as soon as it has it. At exit that
        # is waited for, because there is no later.
        while self._is_opening() and monotonic() < deadline:
            sleep(CANCEL_INTERVAL)
        self._detector.stop()
        self._drain()

    def forked(self) -> None:
        """Begin anew in a child process; what the parent opened stays the parent's."""
        self._start()
        self._detector.forked()

    # --- what there is; nothing of this takes the lock ---

    def owners(self) -> list[Owner]:
        """Who has a connection now."""
        return [owner for owner in list(self._owners) if owner.connection is not None]

    def waiting(self) -> list[Owner]:
        """Who waits for a connection now, in the order of the queue."""
        return list(self._queue)

    def now(self) -> Now:
        """The numbers of this moment."""
        owners = list(self._owners)
        in_use = sum(owner.connection is not None for owner in owners)
        return Now(in_use, len(self._idle), len(owners) - in_use, len(self._queue))

    def status(self) -> list[Status]:
        """One entry for each open connection, those in use first, the oldest owner first."""
        now = monotonic()
        return in_use(self.owners(), now) + [
            Status(connection.backend_pid, "idle", "idle", now - connection.idle_since)
            for connection in list(self._idle)
        ]

    def _is_opening(self) -> bool:
        """Whether a thread is still opening a connection, or has one that is not closed yet."""
        connections = [owner.connection for owner in list(self._owners)]
        return any(connection is None or not connection.closed for connection in connections)

    def _was_closed(self) -> psycopg2.InterfaceError:
        return psycopg2.InterfaceError(
            f"the connections of {self.name!r} were closed by dispose(), by configure() with other "
            "settings or because the process ends, and one was still asked for"
        )


def _lifetime(recycle: float) -> float:
    return inf if recycle == NEVER else recycle * (1 - RECYCLE_JITTER * random.random())


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _forked() -> None:
    for pool in list(_pools):
        pool.forked()


fork.after_in_child(_forked)
