"""The pool that a manager has now: made at its first use, and anew where its settings change."""

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import psycopg2

from simpycity_template.pool.database import Database, differ_in_login
from simpycity_template.pool.events import Events
from simpycity_template.pool.pool import Pool
from simpycity_template.process.signals import empty
from simpycity_template.settings import Settings

P = TypeVar("P", bound=Pool)


class CurrentPool:
    """What a manager's connections are made of: settings, a database, a pool, and its listeners.

    Attributes:
        pool: the one that is used now; None where nobody has used one yet.
        events: of all pools that the manager has one after the other.
        exiting: whether the interpreter is; then the main thread alone may use another pool.
    """

    exiting = False

    def __init__(self, name: str) -> None:
        """
        Arguments:
            name: of the manager.
        """
        self.pool: Pool | None = None
        self.events = Events()
        self._name = name
        self._database: Database | None = None
        self._disposed = False
        # What is still to be done with pools after a change.
        self._due: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    @property
    def settings(self) -> Settings | None:
        """What it was configured with; None before."""
        return self._database.settings if self._database is not None else None

    def configure(self, settings: Settings) -> Settings | None:
        """Use ``settings`` from now on.

        Where they only log in in another way at the same database, what is under way finishes with
        the connections that it has. Where they differ in anything else, these are closed.

        Returns:
            the settings of before, unless everything was disposed of since.
        """
        try:
            with self._lock:
                before, self._disposed = None if self._disposed else self.settings, False
                if self.pool is not None and before and differ_in_login(before, settings):
                    database, renew = self.database(), partial(self.pool.renew, settings)
                    database.settings = settings
                    self._due.append(renew)
                elif settings != self.settings:
                    database = Database(settings, self._name)
                    self.events.log_lost_writes(settings.log_lost_writes)
                    self._retire_pool()
                    self._database = database
        finally:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                empty(self._due, _do)
            finally:
                empty(self._due, _do)
        return before

    def database(self) -> Database:
        """Where connections go.

        Raises:
            RuntimeError: there are no settings yet.
        """
        if self._database is None:
            raise RuntimeError(
                f"manager {self._name!r} has no settings yet: "
                "call its configure(config) before the first query"
            )
        return self._database

    def begin(self) -> Pool:
        """The pool; makes it where there is none.

        Raises:
            RuntimeError: there are no settings yet.
            psycopg2.InterfaceError: the interpreter is exiting.
        """
        if self.exiting and threading.current_thread() is not threading.main_thread():
            raise psycopg2.InterfaceError(
                "the interpreter is exiting and has closed its connections: no new work is begun"
            )
        with self._lock:
            if self.pool is None:
                self.pool = self.make(Pool)
                self._disposed = False
            return self.pool

    def make(self, kind: type[P]) -> P:
        """A pool of this kind for the database; it is not used yet."""
        database = self.database()
        return kind(self._name, database.settings, database.connect, self.events)

    def dispose(self) -> None:
        """Close the pool; the next use makes another one."""
        try:
            with self._lock:
                self._retire_pool()
                self._disposed = True
        finally:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                empty(self._due, _do)
            finally:
                empty(self._due, _do)

    def _retire_pool(self) -> None:
        pool = self.pool
        if pool is not None:
            close, self.pool = pool.close, None
            self._due.append(close)

    def forked(self) -> None:
        """In a child process: no other thread has the lock, and everything is counted from zero."""
        self._lock = threading.RLock()
        self.events.forked()


def _do(step: Callable[[], None]) -> None:
    step()
