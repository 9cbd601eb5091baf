"""Ends a statement that waits for a lock which its own thread holds, in another scope.

Examples: a test changes a row, and then asks for a page that changes it, too; an eager worker runs a
task inside its caller; one ``scope()`` block is inside another. The thread waits, so it cannot end the
transaction that holds the lock. PostgreSQL finds no deadlock, because the other session is only idle.
So connections are watched where a thread has more than one: while one of them waits for the server,
another one, which the thread cannot use meanwhile, asks the server who blocks it.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from time import monotonic, sleep

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import ACTIVE, IDLE, IN_TRANSACTION
from simpycity_template.driver.terminate import cancel
from simpycity_template.pool.owner import Owner, scope_named
from simpycity_template.process import fork

log = logging.getLogger("simpycity_template")

LOOK_INTERVAL = 0.25
"""Seconds between two looks; a wait is found at the second."""

CANCEL_TIMEOUT = 2
"""Seconds for the server to take the cancellation, and for the statement to end after it."""


class SelfWaits:
    """One daemon thread for the process, which looks only while a thread has two connections.

    Attributes:
        watched: the owners whose connections it looks at, by their thread.
        looks: how often it has looked.
    """

    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        """A child process has no thread yet, and what its parent has is not its own."""
        self.looks = 0
        self.watched: dict[threading.Thread, set[Owner]] = {}
        # Only the looking thread changes what is watched. So a signal handler may add to it.
        self._added: SimpleQueue[tuple[threading.Thread, tuple[Owner, ...]]] = SimpleQueue()
        self._once = threading.Lock()

    def watch(self, owners: Sequence[Owner], thread: threading.Thread) -> None:
        """Watch connections until only one of them is left.

        Arguments:
            owners: of one thread.
            thread: theirs.
        """
        if len(owners) < 2:
            return
        self._added.put((thread, tuple(owners)))
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._run, name="simpycity self-wait", daemon=True).start()

    def _run(self) -> None:
        waited: set[Owner] = set()
        while True:
            self._take_added()
            sleep(LOOK_INTERVAL)
            # Before it, so that nobody sees what a look has changed and not that it was.
            self.looks += 1
            try:
                waited = self._look(waited)
            except Exception:
                # An error in one look must not end all of them.
                log.exception("cannot look for statements that wait for their own thread")

    def _take_added(self) -> None:
        """Watch what was added; wait for it where nothing is watched."""
        while not self.watched or not self._added.empty():
            thread, owners = self._added.get()
            self.watched.setdefault(thread, set()).update(owners)

    def _look(self, waited: set[Owner]) -> set[Owner]:
        """Look at each connection once; returns those that wait for the server now.

        Arguments:
            waited: those that did at the look before.
        """
        waiting = set()
        for thread, owners in list(self.watched.items()):
            having = {owner for owner in owners if owner.connection is not None}
            if len(having) < 2 or not thread.is_alive():
                del self.watched[thread]
                continue
            self.watched[thread] = having
            for owner in having:
                if _status(owner) == ACTIVE:
                    waiting.add(owner)
                    if owner in waited:
                        _end_if_blocked(owner, having - {owner})
        return waiting


def _status(owner: Owner) -> int | None:
    connection = owner.connection
    # Its thread may close it in between.
    with suppress(psycopg2.InterfaceError):
        return None if connection is None else int(connection.get_transaction_status())
    return None


def _end_if_blocked(owner: Owner, others: set[Owner]) -> None:
    """Cancel the statement of ``owner`` where it waits for one of the others."""
    for other in others:
        connection = owner.connection
        if connection is None or _status(other) not in (IN_TRANSACTION, IDLE):
            continue
        if _blocks(other, connection) and _status(owner) == ACTIVE:
            _cancel(owner, connection, _reason(owner, other))
            return


def _reason(owner: Owner, other: Owner) -> str:
    place = owner.now_at(sys._current_frames()) or owner.place
    return (
        f"this statement waits for a lock that its own thread holds, so nobody can end the "
        f"wait: {scope_named(owner.label, owner.thread)}, now at {place}, waits for "
        f"{scope_named(other.label, other.thread)}, whose connection was taken at "
        f"{other.place}, last statement: {other.last_sql or 'none'}; commit or roll back "
        "there first, or work in one scope"
    )


def _cancel(owner: Owner, connection: Connection, reason: str) -> None:
    """Cancel a statement; where that ends it, its error is ``reason``."""
    owner.deadlock = reason
    due = partial(connection.is_active_for, owner)
    try:
        with suppress(psycopg2.Error, OSError):
            if cancel(connection, monotonic() + CANCEL_TIMEOUT, due) and connection.lock.acquire(
                timeout=CANCEL_TIMEOUT
            ):
                # The statement has ended. Its error was raised while it had the lock.
                connection.lock.release()
    finally:
        # No later statement gets this reason, whoever cancels that.
        owner.deadlock = ""


def _blocks(other: Owner, waiting: Connection) -> bool:
    """Ask the session of ``other`` whether ``waiting`` waits for it."""
    asked = other.connection
    if asked is None or not asked.lock.acquire(blocking=False):
        return False
    try:
        # A session may have a lock of its own (pg_advisory_lock) with no transaction open, where
        # psycopg2 must not begin one.
        if asked.owner is not other or (_status(other) == IDLE and not asked.autocommit):
            return False
        with suppress(psycopg2.Error), extensions.cursor(asked) as cursor:
            cursor.execute("SELECT pg_blocking_pids(%s)", (waiting.backend_pid,))
            return any(asked.backend_pid in pids for (pids,) in cursor.fetchall())
        return False
    finally:
        asked.lock.release()


self_waits = SelfWaits()
fork.after_in_child(self_waits.forked)
