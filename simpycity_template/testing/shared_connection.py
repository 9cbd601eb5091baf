"""A connection that several scopes have at once: each is a savepoint on top of the one before.

PostgreSQL's savepoints are a stack, and so are the scopes here: what a scope did is undone by going
back to its savepoint, and with that goes whatever was done later. So a thread begins a scope only
where the innermost one is its own, or that of the thread which runs the test and waits meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import FAILED, IDLE, PSYCOPG2
from simpycity_template.errors import PoolTimeout
from simpycity_template.pool.owner import Owner, scope_named


@dataclass
class Level:
    """A scope that has the connection.

    Arguments:
        owner: its checkout.
        thread: which works in it.
        savepoint: the name of where it began.
        autocommit: whether its statements are kept without a COMMIT.
        begin_fired: whether no listener has to prepare what it executes next.
    """

    owner: Owner
    thread: threading.Thread
    savepoint: str
    autocommit: bool
    begin_fired: bool


class Turn:
    """The lock of a shared connection: a thread has it while the innermost scope is its own."""

    def __init__(self, name: str, timeout: float, home: threading.Thread) -> None:
        self.levels: list[Level] = []
        self._name = name
        self._timeout = timeout
        self._home = home
        self._changed = threading.Condition(threading.RLock())
        # Who enters or leaves a scope for a thread that may be another one.
        self._privileged: threading.Thread | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As that of ``threading.RLock``."""
        return self._acquire(self._is_mine, timeout if blocking else 0)

    def release(self) -> None:
        """As that of ``threading.RLock``."""
        self._changed.release()

    def _is_owned(self) -> bool:
        """As that of ``threading.RLock``."""
        return self._changed._is_owned()  # type: ignore[attr-defined]

    def __enter__(self) -> None:
        if not self._acquire(self._is_mine, self._timeout):
            raise self._timed_out()

    def __exit__(self, *error: object) -> None:
        self.release()

    @contextmanager
    def to_enter(self) -> Iterator[None]:
        """A block of a thread that begins a scope."""
        if not self._acquire(self._may_enter, self._timeout):
            raise self._timed_out()
        with self._as_privileged():
            yield

    @contextmanager
    def to_leave(self) -> Iterator[None]:
        """A block of whoever ends a scope, which may be one of another thread."""
        self._changed.acquire()
        with self._as_privileged():
            yield

    @contextmanager
    def _as_privileged(self) -> Iterator[None]:
        before, self._privileged = self._privileged, threading.current_thread()
        try:
            yield
        finally:
            self._privileged = before
            self._changed.notify_all()
            self._changed.release()

    def _acquire(self, condition: Any, timeout: float) -> bool:
        if not self._changed.acquire(timeout=timeout):
            return False
        if self._changed.wait_for(condition, None if timeout < 0 else timeout):
            return True
        self._changed.release()
        return False

    def _is_mine(self) -> bool:
        me = threading.current_thread()
        return not self.levels or self.levels[-1].thread is me or self._privileged is me

    def _may_enter(self) -> bool:
        return self._is_mine() or self.levels[-1].thread is self._home

    def _timed_out(self) -> PoolTimeout:
        owner = self.levels[-1].owner
        return PoolTimeout(
            f"thread {threading.current_thread().name!r} waited {self._timeout:g} s for the one "
            f"connection of a test of {self._name!r}, which thread {owner.thread!r}, "
            f"{scope_named(owner.label, owner.thread)}, has taken at {owner.place}: in a test with a "
            "transaction of its own, threads use it one after the other, scope by scope"
        )


class SharedConnection(Connection):
    """A connection whose COMMIT and ROLLBACK are those of the innermost scope that has it."""

    lock: Turn  # type: ignore[assignment]

    def share(self, name: str, timeout: float, home: threading.Thread) -> None:
        """Begin the transaction, and let scopes have the connection.

        Arguments:
            name: of the manager.
            timeout: seconds for which a thread waits until another one has ended its scope.
            home: the thread that runs the test.
        """
        # psycopg2 begins its transaction, once, and believes that it goes on.
        self.handed_out = True
        self.state = PSYCOPG2
        self.lock = Turn(name, timeout, home)
        self._count = 0

    @property
    def owner(self) -> Any:
        """The innermost checkout of this thread."""
        me = threading.current_thread()
        for level in reversed(getattr(self.lock, "levels", ())):
            if level.thread is me:
                return level.owner
        return None

    @owner.setter
    def owner(self, owner: Any) -> None:
        """Nothing: ``enter()`` and ``leave()`` know."""

    @property
    def begin_fired(self) -> bool:
        """As of a connection that only the innermost scope has."""
        levels = self.lock.levels
        return not levels or levels[-1].begin_fired

    @begin_fired.setter
    def begin_fired(self, fired: bool) -> None:
        levels = getattr(self.lock, "levels", ())
        if levels:
            levels[-1].begin_fired = fired

    def enter(self, owner: Owner) -> None:
        """Begin a scope.

        Raises:
            PoolTimeout: another thread did not end its scope in time.
        """
        with self.lock.to_enter():
            levels = self.lock.levels
            if levels and self.get_transaction_status() == FAILED:
                # It cannot be committed any more, and would fail the statements of this one.
                self._undo(levels[-1])
            self._count += 1
            autocommit = owner.isolation_level == 0
            level = Level(
                owner,
                threading.current_thread(),
                f"simpycity_scope_{self._count}",
                autocommit,
                # In autocommit mode no transaction begins.
                begin_fired=autocommit,
            )
            self.run(f"SAVEPOINT {level.savepoint}")
            levels.append(level)

    def leave(self, owner: Owner) -> None:
        """End a scope, and undo what it did not commit."""
        with self.lock.to_leave():
            levels = self.lock.levels
            owners = [level.owner for level in levels]
            if owner not in owners:
                return
            place = owners.index(owner)
            level, inner = levels[place], levels[place + 1 :]
            del levels[place:]
            if self.get_transaction_status() == IDLE:
                # Somebody has ended the transaction: see sync_state().
                self.close()
            if not self.closed:
                if not level.autocommit or self.get_transaction_status() == FAILED:
                    self._undo(level)
                self.run(f"RELEASE {level.savepoint}")
                for other in inner:
                    self.run(f"SAVEPOINT {other.savepoint}")
            levels += inner

    def commit(self) -> None:
        """Keep what was written so far, until the test ends.

        Raises:
            psycopg2.IntegrityError: a constraint that is checked at COMMIT is violated.
        """
        with self.lock:
            levels = self.lock.levels
            if not levels or self.get_transaction_status() == IDLE:
                return
            try:
                # As a COMMIT does it. The checks are deferred again afterwards.
                self.run(
                    "SAVEPOINT simpycity_check; SET CONSTRAINTS ALL IMMEDIATE;"
                    "ROLLBACK TO simpycity_check; RELEASE simpycity_check"
                )
            except psycopg2.Error:
                self._undo(levels[-1])
                raise
            levels[-1].begin_fired = levels[-1].autocommit
            savepoints = "; ".join(f"SAVEPOINT {level.savepoint}" for level in levels)
            self.run(f"RELEASE {levels[0].savepoint}; {savepoints}")

    def rollback(self) -> None:
        """Undo what was written since the innermost scope began or committed."""
        with self.lock:
            if self.lock.levels and not self.closed:
                self._undo(self.lock.levels[-1])

    def sync_state(self) -> None:
        """Notice a COMMIT or ROLLBACK that was written as SQL.

        Raises:
            psycopg2.ProgrammingError: there was one; it has ended the transaction of the test.
        """
        if not self.closed and self.lock.levels and self.get_transaction_status() == IDLE:
            raise psycopg2.ProgrammingError(
                "a COMMIT or ROLLBACK written as SQL has ended the transaction of the test, and "
                "what it wrote may have been committed: use manager.commit() and rollback()"
            )

    def _undo(self, level: Level) -> None:
        self.run(f"ROLLBACK TO {level.savepoint}")
        level.begin_fired = level.autocommit
