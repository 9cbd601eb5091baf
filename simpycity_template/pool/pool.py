"""Connections that are kept, handed to one owner after the other, and never more than allowed.

What an owner gets, and who gets it, is decided in ``tables.py``. Here is what takes time, and is done
without the lock: waiting, opening, looking whether the server is there, closing.
"""

import os
import random
import threading
import weakref
from collections.abc import Callable
from math import inf
from time import monotonic, sleep
from typing import Any

import psycopg2

from simpycity_template.driver import commit_outcome, sql_comment
from simpycity_template.driver.check_socket import is_alive
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import ACTIVE, IDLE
from simpycity_template.driver.terminate import CANCEL_INTERVAL, terminate, terminate_deadline
from simpycity_template.driver.traced_cursor import connect_traced
from simpycity_template.pool.call_site import from_here
from simpycity_template.pool.events import Event, Events
from simpycity_template.pool.leak_detector import LeakDetector
from simpycity_template.pool.owner import Owner
from simpycity_template.pool.report import timeout_error
from simpycity_template.pool.tables import Tables
from simpycity_template.process import fork
from simpycity_template.settings import NEVER, Settings

RECYCLE_JITTER = 0.1
"""The part of ``pool_recycle`` by which lifetimes differ: those opened together end one by one."""


class Pool(Tables):
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
        super().__init__(settings, events or Events())
        self.name = name
        self._tagged = settings.tag_statements
        self._discards = settings.pool_reset == "discard"
        self._connect = connect
        self._detector = LeakDetector(self.owners, settings.hold_warning, self._events)
        _pools.add(self)

    # --- taking a connection ---

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
        owner.since = now = monotonic()
        with self._lock:
            if self._closed:
                raise self._was_closed()
            if self._queue or not self._give(owner, now):
                owner.served = threading.Lock()
                owner.served.acquire()
                self._queue.append(owner)
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
        self._events.counts["checkout"] += 1
        if self._events.listeners["checkout"]:
            self._events.call(Event("checkout", owner, 0.0, connection), connection)
        return connection

    def _wait(self, owner: Owner, served: threading.Lock) -> None:
        began = owner.since
        # It may be served at the last moment.
        if not served.acquire(timeout=self.settings.pool_timeout) and owner not in self._owners:
            self._events.fire("timeout", owner, monotonic() - began)
            raise timeout_error(self.name, self.settings, list(self._owners))
        if self._closed:
            raise self._was_closed()
        owner.since = monotonic()
        self._events.waited += owner.since - began
        self._events.fire("wait", owner, owner.since - began)

    def _open(self, owner: Owner) -> Connection:
        """Open a connection, in place of one that broke while idle where ``owner`` has that."""
        broken, owner.connection = owner.connection, None
        if broken is not None:
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
        expires = connection.expires + _lifetime(settings.pool_recycle)
        if self.settings is settings and owner.dsn is None:
            # Last: one that is not prepared to its end, that logged in as it was before renew(), or
            # that leads elsewhere, has expired when it comes back.
            connection.expires = expires
        return connection

    def _prepared(self, connection: Connection) -> None:
        # It may have written COMMIT as SQL.
        connection.sync_state()
        if connection.get_transaction_status() != IDLE:
            # What a listener did not commit must not be committed with the owner's work.
            connection.rollback()
        connection.remember_session()

    # --- giving it back, and the end ---

    def release(self, owner: Owner, for_good: bool = True) -> None:
        """ROLLBACK, and take back whatever ``owner`` has, once or more than once.

        It raises nothing of its own. An exception that arrives meanwhile (Ctrl-C, a task's time
        limit, a greenlet's timeout) goes on when everything is done.

        Arguments:
            owner: of a connection, of permission to open one, or of a place in the queue.
            for_good: the owner takes no other connection in its place.
        """
        process = os.getpid()
        # From here on nothing is called until the connection has no owner: another thread may give
        # back what this one has, too, and then the next owner must not lose it.
        connection = owner.connection
        again, owner.released = owner.released, for_good
        if connection is None:
            self._drain(owner)
            return
        if connection.process != process:
            # In a child of fork() the stacks of other threads are freed before any hook is called.
            return
        try:
            # Before the ROLLBACK: from here on cursors of the scope are refused, also in other
            # threads, and what they sent before is rolled back. Nor is anything cancelled any more.
            connection.owner = None
            if connection.cancelling:
                connection.wait_until_cancelled()
            if connection.closed:
                owner.lost = commit_outcome.broke_in_transaction(connection)
            self._reset(owner, connection, again)
        except psycopg2.Error:
            terminate(connection)
        except BaseException:
            # It has interrupted the ROLLBACK, so nobody knows what the server does meanwhile.
            terminate(connection)
            raise
        finally:
            self._drain(owner)

    def _reset(self, owner: Owner, connection: Connection, again: bool) -> None:
        """Make the connection of ``owner`` as good as new.

        Arguments:
            owner: who has it.
            connection: that it has.
            again: whether it was given back before, perhaps in another thread at this moment. What
                is under way then is the ROLLBACK of that thread, and not a statement of the owner.

        Raises:
            psycopg2.Error: that failed, and the connection must be terminated.
        """
        if not again and connection.get_transaction_status() == ACTIVE:
            raise psycopg2.OperationalError("a statement is still under way")
        if self._events.lost_writes is not None:
            self._events.lost_writes.look(owner, connection)
        connection.reset_state()
        # Who sent nothing had no answer that says so. A server that is on its way to being a standby
        # ends its sessions, so that is not asked here.
        if (
            (owner.last_sql or connection.handed_out)
            and connection.get_parameter_status("default_transaction_read_only") == "on"
            and not connection.was_read_only
        ):
            connection.expires = 0.0
        if self._discards:
            with connection.lock:
                if connection.owner is None:
                    connection.discard()
                    # What they have set of the session is gone, too.
                    self._events.call(Event("connect", owner, 0.0, connection), connection)
                    self._prepared(connection)

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
        try:
            self._close()
        except BaseException:
            # Ctrl-C or a task's time limit: what is left is closed all the same.
            self._close()
            raise

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            for owner in self._queue:
                owner.serve()
            self._queue.clear()
            connections = [owner.connection for owner in self._owners] + list(self._idle)
        deadline = terminate_deadline()
        for connection in connections:
            if connection is not None:
                terminate(connection, deadline)
        self._idle.clear()
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
