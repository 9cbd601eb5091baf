"""A scope: what one thread opened for one unit of work, and the transactions in it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors, extensions

from simpycity_template.driver.connection import Connection
from simpycity_template.errors import TransactionLost
from simpycity_template.pool.owner import Holder, application_line, scope_named
from simpycity_template.pool.pool import Pool

log = logging.getLogger("simpycity_template")


class Hold:
    """One connection of a scope, from checkout to release, and its transaction."""

    __slots__ = (
        "_blocks",
        "_given_back",
        "_isolation_level",
        "_pool",
        "connection",
        "holder",
        "released",
    )

    connection: Connection

    def __init__(self, pool: Pool, holder: Holder, isolation_level: int | None = None) -> None:
        """
        Arguments:
            pool: where the connection comes from, and goes back to.
            holder: on whose behalf.
            isolation_level: one of psycopg2's ``ISOLATION_LEVEL_*``; None is the pool's.
        """
        # Nothing to give back yet.
        self._given_back = True
        self.released = False
        self._blocks = 0
        self.holder = holder
        self._isolation_level = isolation_level
        self._connect(pool)

    def renew(self, pool: Pool) -> None:
        """Replace a connection that broke while no transaction was open.

        Raises:
            TransactionLost: one was open.
        """
        self.check()
        self._give_back()
        # Not the same one: what it says of the connection that broke is still to be told.
        self.holder = Holder(self.holder.label)
        self._connect(pool)

    def check(self) -> None:
        """Raise ``TransactionLost`` where the connection broke inside a transaction."""
        if self.connection.closed and not self._given_back:
            self.connection.check()

    def begin(self) -> None:
        """Begin a transaction; psycopg2 does it by itself unless in autocommit mode."""
        self._ensure_not_released()
        if self.connection.autocommit:
            self.connection.run("BEGIN")
            self.connection.begun = True

    def commit(self) -> None:
        """Commit.

        Raises:
            TransactionLost: the connection broke before; nothing was committed.
            psycopg2.errors.TransactionResolutionUnknown: it broke during COMMIT.
            psycopg2.errors.InFailedSqlTransaction: a statement had failed; PostgreSQL would
                answer this COMMIT with a silent ROLLBACK.
        """
        self._refuse_inside_block("commit")
        self._commit()

    def rollback(self) -> None:
        """Roll back; never fails, because a broken connection has nothing to roll back."""
        self._refuse_inside_block("rollback")
        self._rollback()

    @contextmanager
    def transaction(self, forgiving: bool = False) -> Iterator[None]:
        """Commit at the end, ROLLBACK on an exception; inside another one, a savepoint.

        Arguments:
            forgiving: where a statement failed and the block went on all the same, roll back and
                log it, as Simpycity's users are used to; otherwise that is an error.
        """
        depth = self._blocks
        savepoint = f"simpycity_template_{depth}"
        if depth:
            self._ensure_not_released()
            self.connection.ensure_transaction()
            self.connection.run(f"SAVEPOINT {savepoint}")
        else:
            self.begin()
        self._blocks = depth + 1
        try:
            yield
            self._ensure_not_released()
            if depth:
                self.check()
                self.connection.run(f"RELEASE {savepoint}")
            elif forgiving and self._failed():
                log.warning(
                    "a statement failed inside a transaction() block that went on and ended as if "
                    "it had not: nothing was committed (at %s)",
                    application_line(),
                )
                self._rollback()
            else:
                self._commit()
        except BaseException:
            if depth:
                self._rollback_to(savepoint)
            else:
                self._rollback()
            raise
        finally:
            self._blocks = depth

    def release(self) -> None:
        """ROLLBACK and give the connection back; never raises but for Ctrl-C and its like."""
        self.released = True
        self._give_back()

    def abandon(self) -> None:
        """As ``release()``, and log that nobody cleaned up; nothing where it was given back."""
        if self._given_back or self.connection.process != os.getpid() or sys.is_finalizing():
            return
        was_closed = self.connection.closed
        self.release()
        if not was_closed:
            log.warning(
                "thread %r, %s, went without cleanup(): its connection, taken at %s, "
                "was rolled back and taken back",
                self.holder.thread,
                scope_named(self.holder.label, self.holder.thread),
                self.holder.place,
            )

    def __del__(self) -> None:
        if not self._given_back:
            self.abandon()

    def _connect(self, pool: Pool) -> None:
        self._pool = pool
        try:
            self.connection = pool.checkout(self.holder, self._isolation_level)
            self._given_back = False
        except BaseException:
            # Ctrl-C may come between a checkout and what remembers it.
            self._given_back = True
            pool.abandon(self.holder)
            raise

    def _give_back(self) -> None:
        connection = self.connection
        if self._given_back or connection.process != os.getpid():
            return
        self._given_back = True
        # Before the ROLLBACK: from here on cursors of this scope are refused, also in other threads,
        # and what they sent before is rolled back.
        connection.holder = None
        try:
            if connection.closed:
                self.holder.lost = connection.broke_in_transaction()
            connection.clean(self._pool.settings)
        except BaseException as error:
            connection.end()
            if not isinstance(error, Exception):
                raise
        finally:
            try:
                self._pool.checkin(connection)
            except BaseException:
                # Ctrl-C may come before it has begun.
                self._pool.abandon(self.holder)
                raise

    def _failed(self) -> bool:
        state = self.connection.get_transaction_status()
        return bool(state == extensions.TRANSACTION_STATUS_INERROR)

    def _commit(self) -> None:
        self.check()
        if self.connection.closed:
            return
        if self._failed():
            raise errors.InFailedSqlTransaction(
                "a statement of this transaction failed, so it cannot be committed: "
                "call rollback(), then begin again"
            )
        self.connection.commit()

    def _rollback(self) -> None:
        # Once given back, the connection may be another scope's.
        if self._given_back or self.released:
            return
        try:
            self.connection.rollback()
        except psycopg2.Error:
            self.connection.close()
        if self.connection.closed:
            self._give_back()

    def _rollback_to(self, savepoint: str) -> None:
        if self._given_back or self.released:
            return
        try:
            self.connection.run(f"ROLLBACK TO {savepoint}")
        except psycopg2.Error:
            # It broke, and check() will tell the outer blocks.
            pass

    def _ensure_not_released(self) -> None:
        if self.released:
            raise TransactionLost(
                "the connection of this transaction() block was given back before its end, by "
                "cleanup() or close() or in a fork: nothing was committed"
            )

    def _refuse_inside_block(self, name: str) -> None:
        if self._blocks:
            raise psycopg2.ProgrammingError(
                f"{name}() inside a transaction() block would take its statements apart: "
                "leave the block, or raise an exception to roll it back"
            )


class Scope:
    """Everything that one thread opened for one unit of work."""

    __slots__ = ("begun", "ended", "holds", "label")

    def __init__(self, label: str, begun: bool = True) -> None:
        """
        Arguments:
            label: what the unit of work is called, ``"GET /notes/7"`` for example.
            begun: whether somebody began it; False where a thread's first use did.
        """
        self.label = label
        self.begun = begun
        # Whether it was left for good, perhaps by another thread; the one that is in it skips it.
        self.ended = False
        self.holds: dict[object, Hold] = {}

    def close(self) -> None:
        """ROLLBACK and release everything; the scope can be used again."""
        while self.holds:
            try:
                _, hold = self.holds.popitem()
            except KeyError:
                # Another thread closes it too: a stream that was dropped.
                return
            try:
                hold.release()
            except BaseException:
                # Ctrl-C, or the timeout of a greenlet: what is left is released all the same.
                self.close()
                raise

    def forget(self) -> None:
        """In a child process: let go of what is the parent's."""
        for hold in list(self.holds.values()):
            hold.released = True
        self.holds.clear()


class Scopes(list[Scope]):
    """The scopes that a thread is in, the current one last.

    Nothing else refers to this list, so it is freed when its thread ends, and gives the connections
    back. A scope alone would not do: the traceback of an exception that somebody keeps may keep it.
    """

    def __del__(self) -> None:
        for scope in self:
            for hold in list(scope.holds.values()):
                hold.abandon()
