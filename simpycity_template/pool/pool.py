"""The connections of one database: idle ones kept, a limit, and a fair queue.

It is not psycopg2.pool, which raises where it should wait and cannot tell who has
what. Three rules shape the code:

- Under the lock there is bookkeeping only. Nothing there talks to the server.
- A connection is given back from anywhere: from ``cleanup()``, from a thread that is
  dying, from the garbage collector in the middle of any allocation. So ``checkin()``
  never waits for the lock; whoever has it settles what came back meanwhile.
- A place in the limit is always in one of three tables: idle, held by somebody, or being
  opened by somebody. There is no count beside them that could go wrong.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic, sleep

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver import sql_comment as tag
from simpycity_template.driver.connection import PAUSE, Connection, end_deadline
from simpycity_template.errors import PoolTimeout
from simpycity_template.pool.events import Events
from simpycity_template.pool.leak_detector import HoldWatch
from simpycity_template.pool.metrics import Now
from simpycity_template.pool.owner import (
    ENDS_WITH_SCOPE,
    Holder,
    Status,
    scope_named,
    transaction_state,
)
from simpycity_template.process import fork
from simpycity_template.settings import NEVER, Settings


class _Waiter:
    """A thread in the queue, and what it is handed: a connection, or leave to open one."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.served = threading.Event()
        self.connection: Connection | None = None


class Pool:
    """Connections to one DSN, at most ``settings.max_size`` at once."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        connect: Callable[..., extensions.connection],
        events: Events | None = None,
    ) -> None:
        """
        Arguments:
            name: what the sessions are called in ``pg_stat_activity.application_name``,
                unless the DSN says otherwise.
            settings: sizes, times and session defaults.
            connect: ``psycopg2.connect``, but for the DSN, which it knows.
            events: told of what happens to the connections, never under the lock; those of the
                manager, as a rule.
        """
        self.name = name
        self.settings = settings
        recycle = settings.pool_recycle
        self._lifetime = inf if recycle == NEVER else recycle
        self._new_connection = connect
        self._events = events or Events()
        self._watch = HoldWatch(self.holders, settings.hold_warning, self._events)
        self._closed = False
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        # Reentrant for the garbage collector's sake: see checkout() and _settle().
        self._lock = threading.RLock()
        self._idle: list[Connection] = []
        self._held: dict[Connection, Holder] = {}
        self._opening: set[Holder] = set()
        self._waiters: deque[_Waiter] = deque()
        self._returned: deque[Connection] = deque()

    def checkout(self, holder: Holder, isolation_level: int | None = None) -> Connection:
        """Return a connection for ``holder``, waiting while all are in use.

        Arguments:
            holder: on whose behalf.
            isolation_level: one of psycopg2's ``ISOLATION_LEVEL_*``, for this time; None is that of
                the settings.

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
        try:
            connection = self._reserve(holder)
            if connection is not None and not connection.is_alive():
                self._let_go(connection, holder)
                connection = None
            if connection is None:
                connection = self._open(holder)
            if isolation_level is not None:
                # Before anybody begins a transaction, which this would roll back.
                connection.set_isolation_level(isolation_level)
            self._events.fire("checkout", holder, None, connection)
        except BaseException:
            self.abandon(holder)
            raise
        return connection

    def checkin(self, connection: Connection) -> None:
        """Take ``connection`` back; a closed one only makes room. Never blocks, never raises."""
        connection.holder = None
        self._returned.append(connection)
        self._settle()

    def abandon(self, holder: Holder) -> None:
        """Give back what is reserved for ``holder``, who does not use it yet or any more.

        It is a place in the queue, a place in the limit, or a connection.
        """
        with self._lock:
            for waiter in [waiter for waiter in self._waiters if waiter.holder is holder]:
                self._waiters.remove(waiter)
            if holder in self._opening:
                self._opening.remove(holder)
                self._admit()
            connections = [c for c, owner in self._held.items() if owner is holder]
        self._settle()
        for connection in connections:
            if not connection.merges:
                # Its isolation level may be meant for this holder alone.
                connection.close()
            self.checkin(connection)

    def close(self) -> None:
        """Close every connection; those in use are cancelled first. The pool is not used again."""
        with self._lock:
            self._closed = True
            connections = [*self._held, *self._idle]
            self._idle.clear()
            waiters = list(self._waiters)
            self._waiters.clear()
        for waiter in waiters:
            waiter.served.set()
        deadline = end_deadline()
        for connection in connections:
            connection.end(deadline)
        # A thread that is still connecting closes its connection as soon as it has it. At exit that
        # is waited for, because there is no later.
        while self._is_opening() and monotonic() < deadline:
            sleep(PAUSE)
        self._watch.stop()
        self._settle()

    def holders(self) -> list[Holder]:
        """Who has a connection now."""
        with self._lock:
            holders = list(self._held.values())
        self._settle()
        return holders

    def waiting(self) -> list[Holder]:
        """Who waits for a connection now, in the order of the queue."""
        with self._lock:
            waiting = [waiter.holder for waiter in self._waiters]
        self._settle()
        return waiting

    def now(self) -> Now:
        """The numbers of this moment."""
        with self._lock:
            now = Now(len(self._held), len(self._idle), len(self._opening), len(self._waiters))
        self._settle()
        return now

    def status(self) -> list[Status]:
        """One entry for each open connection, those in use first, the oldest holder first."""
        with self._lock:
            held, idle = list(self._held.items()), list(self._idle)
        self._settle()
        now = monotonic()
        held.sort(key=lambda item: item[1].since)
        return [_in_use(connection, holder, now) for connection, holder in held] + [
            Status(connection.backend_pid, "idle", "idle", now - connection.idle_since)
            for connection in idle
        ]

    def forked(self) -> None:
        """Begin anew in a child process; what the parent opened stays the parent's."""
        self._start()
        self._watch.forked()

    def _reserve(self, holder: Holder) -> Connection | None:
        """An idle connection, or None: there is room to open one. Waits for either."""
        connection = waiter = None
        with self._lock:
            if self._closed:
                raise self._was_closed()
            if self._idle:
                connection = self._idle.pop()
                self._hold(connection, holder)
            else:
                holder.since = monotonic()
                if len(self._held) + len(self._opening) < self.settings.max_size:
                    self._opening.add(holder)
                else:
                    waiter = _Waiter(holder)
                    self._waiters.append(waiter)
        if self._returned:
            self._settle()
        return self._wait(waiter) if waiter else connection

    def _wait(self, waiter: _Waiter) -> Connection | None:
        began = monotonic()
        if not waiter.served.wait(self.settings.pool_timeout):
            with self._lock:
                # It may have been served at the last moment.
                too_late = waiter in self._waiters
            self._settle()
            if too_late:
                self._events.fire("timeout", waiter.holder, monotonic() - began)
                raise self._timeout()
        if self._closed:
            raise self._was_closed()
        self._events.fire("wait", waiter.holder, monotonic() - began)
        return waiter.connection

    def _hold(self, connection: Connection, holder: Holder) -> None:
        holder.since = monotonic()
        self._held[connection] = holder
        connection.holder = holder
        if self.settings.tag_statements:
            holder.tag = tag.comment(holder)

    def _let_go(self, connection: Connection, holder: Holder) -> None:
        """End a connection that broke while idle; its place goes to the one ``holder`` opens."""
        with self._lock:
            del self._held[connection]
            self._opening.add(holder)
        # Not close(), which would wait for a statement of whoever was shown the connection.
        connection.end()
        self._events.fire("reconnect", holder)

    def _open(self, holder: Holder) -> Connection:
        connection = self._new_connection(
            connection_factory=Connection, fallback_application_name=self.name
        )
        assert isinstance(connection, Connection)
        connection.restore(self.settings.isolation_level)
        with self._lock:
            self._opening.remove(holder)
            self._hold(connection, holder)
        self._settle()
        if self._closed:
            raise self._was_closed()
        self._watch.start()
        self._events.fire("connect", holder, None, connection)
        if connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            # What a listener did not commit must not be committed with the holder's work.
            connection.rollback()
        return connection

    def _is_opening(self) -> bool:
        """Whether a thread is still opening a connection, or has one that is not closed yet."""
        with self._lock:
            opening = bool(self._opening) or not all(connection.closed for connection in self._held)
        self._settle()
        return opening

    def _settle(self) -> None:
        """Put what came back where it belongs; nothing is done while the lock is taken.

        Nothing is left lying either, because whoever takes the lock calls this after releasing it.
        """
        lock, returned = self._lock, self._returned
        # This thread itself has the lock where the garbage collector interrupted its bookkeeping.
        while returned and not lock._is_owned():  # type: ignore[attr-defined]
            holder = None
            try:
                # In here, because Ctrl-C may come as soon as it is acquired.
                if not lock.acquire(False):
                    return
                now = monotonic()
                if returned:
                    connection = returned.popleft()
                    # None where it was back already.
                    holder = self._held.pop(connection, None)
                    kept = holder is None or self._place(connection, now)
            finally:
                try:
                    lock.release()
                except RuntimeError:
                    # Another thread has it.
                    pass
            if holder is not None:
                if not kept:
                    connection.close()
                if holder.lost:
                    self._events.fire("lost", holder)
                self._events.fire("checkin", holder, now - holder.since)

    def _place(self, connection: Connection, now: float) -> bool:
        """Hand ``connection`` to the next in the queue or keep it; False where it must go."""
        if (
            connection.closed
            or now - connection.opened >= self._lifetime
            or self._closed
            or connection.became_read_only()
            # Ctrl-C may have come before its ROLLBACK.
            or connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE
        ):
            self._admit()
            return False
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.connection = connection
            self._hold(connection, waiter.holder)
            waiter.served.set()
            return True
        if len(self._idle) < self.settings.pool_size:
            connection.idle_since = now
            self._idle.append(connection)
            return True
        return False

    def _admit(self) -> None:
        """One connection less: the next in the queue may open one in its place."""
        if self._waiters:
            waiter = self._waiters.popleft()
            self._opening.add(waiter.holder)
            waiter.served.set()

    def _timeout(self) -> PoolTimeout:
        settings = self.settings
        holders = [entry for entry in self.status() if entry.state == "in use"]
        lines = [f"  {entry}" for entry in holders]
        lines += [
            f"  thread {holder.thread!r}, {scope_named(holder.label, holder.thread)}, has been "
            f"connecting to the server for {monotonic() - holder.since:.1f} s at {holder.place}"
            for holder in list(self._opening)
        ]
        if any(entry.label == entry.thread for entry in holders):
            lines.append(ENDS_WITH_SCOPE)
        return PoolTimeout(
            f"no connection to {self.name!r} became free within {settings.pool_timeout:g} s: "
            f"all {settings.max_size} (pool_size {settings.pool_size} + max_overflow "
            f"{settings.max_overflow}) are held by\n" + "\n".join(lines)
        )

    def _was_closed(self) -> psycopg2.InterfaceError:
        return psycopg2.InterfaceError(
            f"the connections of {self.name!r} were closed by dispose(), by configure() with other "
            "settings or because the process ends, and one was still asked for"
        )


def _in_use(connection: Connection, holder: Holder, now: float) -> Status:
    # One that is being closed by its thread must not be asked any more.
    status = None if connection.closed else connection.get_transaction_status()
    return Status(
        connection.backend_pid,
        "in use",
        transaction_state(status),
        now - holder.since,
        holder.thread,
        holder.label,
        holder.place,
        holder.last_sql,
    )


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _forked() -> None:
    for pool in list(_pools):
        pool.forked()


fork.after_in_child(_forked)
