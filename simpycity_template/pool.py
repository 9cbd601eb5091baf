"""The connections of one database: idle ones kept, a limit, and a fair queue.

It is not psycopg2.pool, which raises where it should wait and cannot tell who has
what. Three rules shape the code:

- Under the lock there is bookkeeping only. Nothing there talks to the server.
- A connection is given back from anywhere: from ``cleanup()``, from a thread that is
  dying, from the garbage collector in the middle of any allocation. So ``checkin()``
  never waits for the lock; whoever has it settles what came back meanwhile.
- A connection of the parent process is never used, closed or disturbed by a child.
"""

import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic

import psycopg2
from psycopg2 import extensions

from simpycity_template.errors import PoolTimeout
from simpycity_template.holder import Holder, Status, transaction_state
from simpycity_template.settings import NEVER, Settings
from simpycity_template.watch import HoldWatch


class Connection(extensions.connection):
    """A psycopg2 connection that knows its age, its process and its holder."""

    backend_pid: int
    process: int
    opened: float
    idle_since: float
    holder: Holder | None = None

    def rollback(self) -> None:
        """Roll back, also after a BEGIN by hand in autocommit mode, unknown to psycopg2."""
        super().rollback()
        if self.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            with self.cursor(cursor_factory=extensions.cursor) as cursor:
                cursor.execute("ROLLBACK")


class _Waiter:
    """A thread in the queue, and what it is handed: a connection, or leave to open one."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.served = threading.Event()
        self.connection: Connection | None = None


class Pool:
    """Connections to one DSN, at most ``settings.max_size`` at once."""

    def __init__(
        self, name: str, settings: Settings, connect: Callable[..., extensions.connection]
    ) -> None:
        """
        Arguments:
            name: what the sessions are called in ``pg_stat_activity.application_name``,
                unless the DSN says otherwise.
            settings: sizes, times and session defaults.
            connect: ``psycopg2.connect``, but for the DSN, which it knows.
        """
        self.name = name
        self.settings = settings
        self._new_connection = connect
        self._watch = HoldWatch(self.holders, settings.hold_warning)
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._held: dict[Connection, Holder] = {}
        self._waiters: deque[_Waiter] = deque()
        self._returned: deque[Connection] = deque()
        # Idle, held, and those that are being opened.
        self._open = 0
        self._closed = False

    def checkout(self, holder: Holder) -> Connection:
        """Return a connection for ``holder``, waiting while all are in use.

        Raises:
            PoolTimeout: none became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
        """
        connection = self._reserve(holder)
        try:
            if connection is not None and not _is_alive(connection):
                # Its place in the limit goes to the one that replaces it.
                with self._lock:
                    self._held.pop(connection, None)
                connection.close()
                connection = None
            if connection is None:
                connection = self._connect()
                with self._lock:
                    self._held[connection] = holder
                self._settle()
        except BaseException:
            self._give_up(connection)
            raise
        connection.holder = holder
        self._watch.start()
        return connection

    def checkin(self, connection: Connection) -> None:
        """Take ``connection`` back; a closed one only makes room. Never blocks, never raises."""
        connection.holder = None
        self._returned.append(connection)
        self._settle()

    def reset(self, connection: Connection) -> None:
        """Make ``connection`` as good as new for the next scope: ROLLBACK, never COMMIT.

        Raises:
            psycopg2.Error: it could not be done, and the connection must be closed.
        """
        if connection.get_transaction_status() == extensions.TRANSACTION_STATUS_ACTIVE:
            raise psycopg2.OperationalError("a statement is still under way")
        connection.rollback()
        self._restore(connection)
        if self.settings.pool_reset == "discard":
            connection.autocommit = True
            with connection.cursor(cursor_factory=extensions.cursor) as cursor:
                cursor.execute("DISCARD ALL")
            self._restore(connection)
        connection.notices.clear()
        connection.notifies.clear()

    def close(self) -> None:
        """Close every connection; those in use are cancelled first. The pool is not used again."""
        self._closed = True
        with self._lock:
            held, idle = list(self._held), self._idle
            self._idle = []
            self._open -= len(idle)
        for connection in held:
            try:
                connection.cancel()
            except psycopg2.Error:
                pass
        for connection in held + idle:
            connection.close()
        self._watch.stop()
        self._settle()

    def holders(self) -> list[Holder]:
        """Who has a connection now."""
        with self._lock:
            holders = list(self._held.values())
        self._settle()
        return holders

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
        for connection in [*self._idle, *self._held, *self._returned]:
            _disconnect(connection)
        self._start()
        self._watch.forked()

    def _reserve(self, holder: Holder) -> Connection | None:
        """An idle connection, or None: there is room to open one."""
        with self._lock:
            waiter = None
            connection = None
            if self._idle:
                connection = self._idle.pop()
                self._held[connection] = holder
            elif self._open < self.settings.max_size:
                self._open += 1
            else:
                waiter = _Waiter(holder)
                self._waiters.append(waiter)
        self._settle()
        return self._wait(waiter) if waiter else connection

    def _wait(self, waiter: _Waiter) -> Connection | None:
        try:
            served = waiter.served.wait(self.settings.pool_timeout)
        except BaseException:
            if not self._leave_queue(waiter):
                self._give_up(waiter.connection)
            raise
        if not served and self._leave_queue(waiter):
            raise self._timeout()
        return waiter.connection

    def _leave_queue(self, waiter: _Waiter) -> bool:
        """False where the waiter was served in the meantime."""
        with self._lock:
            queued = waiter in self._waiters
            if queued:
                self._waiters.remove(waiter)
        self._settle()
        return queued

    def _give_up(self, connection: Connection | None) -> None:
        """Leave to the next in the queue what was reserved: a connection, or room for one."""
        if connection is not None:
            return self.checkin(connection)
        with self._lock:
            self._vacate()
        self._settle()

    def _timeout(self) -> PoolTimeout:
        settings = self.settings
        in_use = "\n".join(f"  {entry}" for entry in self.status() if entry.state == "in use")
        return PoolTimeout(
            f"no connection to {self.name!r} became free within {settings.pool_timeout:g} s: "
            f"all {settings.max_size} (pool_size {settings.pool_size} + max_overflow "
            f"{settings.max_overflow}) are held by\n{in_use}"
        )

    def _connect(self) -> Connection:
        connection = self._new_connection(
            connection_factory=Connection, fallback_application_name=self.name
        )
        assert isinstance(connection, Connection)
        connection.opened = monotonic()
        connection.backend_pid = connection.get_backend_pid()
        connection.process = os.getpid()
        self._restore(connection)
        return connection

    def _settle(self) -> None:
        """Put what came back where it belongs, unless another does so at this moment.

        That other looks again after it let the lock go, so nothing is left lying; and a
        thread that the garbage collector interrupts while it has the lock meets itself here
        without a deadlock.
        """
        while self._returned and self._lock.acquire(blocking=False):
            surplus = []
            try:
                while self._returned:
                    connection = self._returned.popleft()
                    if not self._place(connection):
                        surplus.append(connection)
            finally:
                self._lock.release()
            for connection in surplus:
                connection.close()

    def _place(self, connection: Connection) -> bool:
        """Hand ``connection`` to the next in the queue or keep it; False where it must go."""
        if self._held.pop(connection, None) is None:
            return False
        now = monotonic()
        recycle = self.settings.pool_recycle
        too_old = recycle != NEVER and now - connection.opened >= recycle
        if connection.closed or too_old or self._closed:
            self._vacate()
            return False
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.connection = connection
            self._held[connection] = waiter.holder
            waiter.served.set()
            return True
        if len(self._idle) < self.settings.pool_size:
            connection.idle_since = now
            self._idle.append(connection)
            return True
        self._vacate()
        return False

    def _vacate(self) -> None:
        """One connection less: the next in the queue may open one in its place."""
        if self._waiters:
            self._waiters.popleft().served.set()
        else:
            self._open -= 1

    def _restore(self, connection: Connection) -> None:
        """Undo what a scope set with ``set_session()`` and its like; free where it set nothing."""
        level = self.settings.isolation_level
        autocommit = level == extensions.ISOLATION_LEVEL_AUTOCOMMIT
        if connection.readonly is not None or connection.deferrable is not None:
            connection.set_session(readonly="default", deferrable="default")
        if connection.autocommit != autocommit or (
            not autocommit and connection.isolation_level != level
        ):
            connection.set_isolation_level(level)
        connection.cursor_factory = None  # type: ignore[assignment]


def _is_alive(connection: Connection) -> bool:
    """Whether an idle connection still has its server, asked of the socket alone.

    A server that went away has closed the socket, which makes it readable. So do
    notifications, and those must not cost a connection: libpq reads them and tells.
    """
    try:
        while not connection.closed and _readable(connection.fileno()):
            connection.poll()
    except psycopg2.Error:
        return False
    return not connection.closed


if hasattr(select, "poll"):

    def _readable(descriptor: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

else:

    def _readable(descriptor: int) -> bool:
        return bool(select.select([descriptor], [], [], 0)[0])


def _in_use(connection: Connection, holder: Holder, now: float) -> Status:
    return Status(
        connection.backend_pid,
        "in use",
        transaction_state(connection.get_transaction_status()),
        now - holder.since,
        holder.thread,
        holder.label,
        holder.place,
        holder.last_sql,
    )


def _disconnect(connection: Connection) -> None:
    """Cut a child process off its parent's session without a word to the server.

    Closing the connection would send the server a goodbye in the parent's name, and so would
    its destructor. With the null device in the socket's place both speak to nobody.
    """
    if not connection.closed:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, connection.fileno())
        os.close(null)


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _forked() -> None:
    for pool in list(_pools):
        pool.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
