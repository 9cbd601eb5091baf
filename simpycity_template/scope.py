"""A scope: what one thread opened for one unit of work, and the transactions in it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors, extensions

from simpycity_template.errors import TransactionLost
from simpycity_template.holder import Holder, application_line
from simpycity_template.pool import Pool

log = logging.getLogger("simpycity_template")


class Hold:
    """One connection of a scope, from checkout to release, and its transaction."""

    def __init__(self, pool: Pool, label: str, isolation_level: int | None = None) -> None:
        """
        Arguments:
            pool: where the connection comes from, and goes back to.
            label: the scope's.
            isolation_level: one of psycopg2's ``ISOLATION_LEVEL_*``; None is the pool's.
        """
        self.holder = Holder(label)
        self.released = False
        self._isolation_level = isolation_level
        self._outcome_unknown = False
        self._begun = False
        self._blocks = 0
        self._connect(pool)

    def renew(self, pool: Pool) -> None:
        """Replace a connection that broke while no transaction was open.

        Raises:
            TransactionLost: one was open.
        """
        self.check()
        self._give_back()
        self._connect(pool)

    def check(self) -> None:
        """Raise ``TransactionLost`` where the connection broke inside a transaction."""
        if self._outcome_unknown:
            raise TransactionLost(
                "the connection broke during COMMIT, so nothing more can belong to that "
                "transaction: call rollback() or cleanup(), then find out whether it was committed"
            )
        # psycopg2 leaves the status where it stood when the connection broke.
        connection = self.connection
        broken = connection.closed and not self._given_back
        if broken and (connection.status == extensions.STATUS_BEGIN or self._begun):
            raise TransactionLost(
                "the connection broke inside a transaction and all of that transaction is gone: "
                "call rollback() or cleanup(), then begin again"
            )

    def begin(self) -> None:
        """Begin a transaction; psycopg2 does it by itself unless in autocommit mode."""
        if self.connection.autocommit:
            self._execute("BEGIN")
            self._begun = True

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
            self._execute(f"SAVEPOINT {savepoint}")
        else:
            self.begin()
        self._blocks = depth + 1
        try:
            yield
            if self.released:
                raise TransactionLost(
                    "the transaction was ended inside its own transaction() block, by "
                    "cleanup() or close() or in a fork: nothing was committed"
                )
            if depth:
                self.check()
                self._execute(f"RELEASE {savepoint}")
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

    def _connect(self, pool: Pool) -> None:
        self._pool = pool
        self.connection = pool.checkout(self.holder)
        self._given_back = False
        if self._isolation_level is not None:
            try:
                self.connection.set_isolation_level(self._isolation_level)
            except BaseException:
                self._give_back()
                raise

    def _give_back(self) -> None:
        connection = self.connection
        if self._given_back or connection.process != os.getpid():
            return
        self._given_back = True
        try:
            self._pool.reset(connection)
        except BaseException as error:
            connection.close()
            if not isinstance(error, Exception):
                raise
        finally:
            self._pool.checkin(connection)

    def _execute(self, sql: str) -> None:
        with self.connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute(sql)

    def _failed(self) -> bool:
        state = self.connection.get_transaction_status()
        return bool(state == extensions.TRANSACTION_STATUS_INERROR)

    def _commit(self) -> None:
        self.check()
        connection = self.connection
        if connection.closed:
            return
        if self._failed():
            raise errors.InFailedSqlTransaction(
                "a statement of this transaction failed, so it cannot be committed: "
                "call rollback(), then begin again"
            )
        try:
            if not connection.autocommit:
                connection.commit()
            elif connection.get_transaction_status() == extensions.TRANSACTION_STATUS_INTRANS:
                self._execute("COMMIT")
        except psycopg2.OperationalError as error:
            if not connection.closed:
                raise
            self._outcome_unknown = True
            raise errors.TransactionResolutionUnknown(
                "the connection broke during COMMIT: whether the transaction was committed "
                f"is unknown, and nothing was sent again ({str(error).strip()})"
            ) from error
        self._begun = False

    def _rollback(self) -> None:
        connection = self.connection
        try:
            connection.rollback()
        except psycopg2.Error:
            connection.close()
        self._begun = self._outcome_unknown = False
        if connection.closed:
            self._give_back()

    def _rollback_to(self, savepoint: str) -> None:
        try:
            self._execute(f"ROLLBACK TO {savepoint}")
        except psycopg2.Error:
            # It broke, and check() will tell the outer blocks.
            pass

    def _refuse_inside_block(self, name: str) -> None:
        if self._blocks:
            raise psycopg2.ProgrammingError(
                f"{name}() inside a transaction() block would take its statements apart: "
                "leave the block, or raise an exception to roll it back"
            )


class Scope:
    """Everything that one thread opened for one unit of work."""

    def __init__(self, label: str, begun: bool = True) -> None:
        """
        Arguments:
            label: what the unit of work is called, ``"GET /notes/7"`` for example.
            begun: whether somebody began it; False where a thread's first use did.
        """
        self.label = label
        self.begun = begun
        # The scope of the same thread that waits meanwhile.
        self.outer: Scope | None = None
        self.holds: dict[object, Hold] = {}
        self._process = os.getpid()

    def close(self) -> None:
        """ROLLBACK and release everything; the scope can be used again."""
        while self.holds:
            try:
                _, hold = self.holds.popitem()
            except KeyError:
                # Another thread closes it too: a stream that was dropped.
                return
            hold.release()

    def forget(self) -> None:
        """In a child process: let go of what is the parent's."""
        self._process = os.getpid()
        for hold in self.holds.values():
            hold.released = True
        self.holds.clear()

    def __del__(self) -> None:
        # The thread died, or a stream was dropped, and nobody cleaned up.
        if not self.holds or self._process != os.getpid() or sys.is_finalizing():
            return
        for hold in list(self.holds.values()):
            if not hold.connection.closed:
                log.warning(
                    "thread %r left scope %r without cleanup(): its connection, taken at %s, "
                    "was rolled back and taken back",
                    hold.holder.thread,
                    hold.holder.label,
                    hold.holder.place,
                )
        self.close()
