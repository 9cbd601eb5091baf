"""A wait for oneself: a statement that waits for a lock which another scope of its own thread holds.

A test that changes a row and then asks the page that changes it, too; a task that an eager worker runs
inside its caller; a nested block. The thread waits, so it cannot end the transaction it waits for, and
PostgreSQL sees no deadlock: one of the two sessions is just idle. So whoever takes a second connection
in a thread is looked after: while one of its connections waits for the server, another one, which the
thread cannot use meanwhile, asks who blocks it.
"""

import sys
import threading
from contextlib import suppress
from time import monotonic

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.state import ACTIVE, IN_TRANSACTION
from simpycity_template.driver.terminate import cancel
from simpycity_template.pool.owner import Owner, scope_named
from simpycity_template.process import fork

LOOK_INTERVAL = 0.25
"""Seconds between two looks; a wait is found at the second."""

CANCEL_TIMEOUT = 2
"""Seconds for the server to take the cancellation."""


class SelfWaits:
    """One daemon thread for the process, which looks only while a thread has two connections.

    Attributes:
        looks: how often it has looked.
    """

    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        """A child process has no thread yet, and what its parent has is not its own."""
        self.looks = 0
        self._threads: dict[threading.Thread, list[Owner]] = {}
        self._once = threading.Lock()
        self._wanted = threading.Event()

    def watch(self, owners: list[Owner], thread: threading.Thread) -> None:
        """Look after connections until only one of them is left.

        Arguments:
            owners: of one thread.
            thread: theirs.
        """
        self._threads[thread] = owners
        self._wanted.set()
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._run, name="simpycity self-wait", daemon=True).start()

    def _run(self) -> None:
        waited: set[Owner] = set()
        while True:
            self._wanted.wait()
            threading.Event().wait(LOOK_INTERVAL)
            waited = self._look(waited)
            self.looks += 1

    def _look(self, waited: set[Owner]) -> set[Owner]:
        """Look at each connection once; returns those that wait for the server now.

        Arguments:
            waited: those that did at the look before.
        """
        waiting = set()
        for thread, owners in list(self._threads.items()):
            having = [owner for owner in owners if owner.connection is not None]
            if len(having) < 2 or not thread.is_alive():
                self._threads.pop(thread, None)
                continue
            for owner in having:
                if _status(owner) == ACTIVE:
                    waiting.add(owner)
                    if owner in waited:
                        _end_if_blocked(owner, [one for one in having if one is not owner])
        if not self._threads:
            self._wanted.clear()
            if self._threads:
                # One came meanwhile.
                self._wanted.set()
        return waiting


def _status(owner: Owner) -> int | None:
    connection = owner.connection
    if connection is None or connection.closed:
        return None
    return int(connection.get_transaction_status())


def _end_if_blocked(owner: Owner, others: list[Owner]) -> None:
    """Cancel the statement of ``owner`` where it waits for one of the others."""
    for other in others:
        if _status(other) == IN_TRANSACTION and _blocks(other, owner):
            place = owner.now_at(sys._current_frames()) or owner.place
            owner.deadlock = (
                f"this statement waits for a lock that its own thread holds, so nobody can end the "
                f"wait: {scope_named(owner.label, owner.thread)}, now at {place}, waits for "
                f"{scope_named(other.label, other.thread)}, whose connection was taken at "
                f"{other.place}, last statement: {other.last_sql or 'none'}; commit or roll back "
                "there first, or work in one scope"
            )
            connection = owner.connection
            if connection is not None and _status(owner) == ACTIVE:
                with suppress(psycopg2.Error, OSError):
                    cancel(connection, monotonic() + CANCEL_TIMEOUT)
            return


def _blocks(other: Owner, owner: Owner) -> bool:
    """Ask the session of ``other`` whether that of ``owner`` waits for it."""
    asked, waiting = other.connection, owner.connection
    if asked is None or waiting is None or not asked.lock.acquire(blocking=False):
        return False
    try:
        if asked.owner is not other:
            return False
        with extensions.cursor(asked) as cursor, suppress(psycopg2.Error):
            cursor.execute("SELECT pg_blocking_pids(%s)", (waiting.backend_pid,))
            return any(asked.backend_pid in pids for (pids,) in cursor.fetchall())
        return False
    finally:
        asked.lock.release()


self_waits = SelfWaits()
fork.after_in_child(self_waits.forked)
