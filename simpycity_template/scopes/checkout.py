"""One connection of a scope, and its transaction.

A checkout owns its connection (``pool/owner.py``), and gives it back in one way, ``Pool.release()``,
whatever happened: at the end of its scope, after Ctrl-C or a greenlet's timeout anywhere on the way,
for a thread that died, for a response that was dropped.
"""

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors

from simpycity_template.driver import commit_outcome
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import BY_HAND, FAILED
from simpycity_template.errors import TransactionLost
from simpycity_template.pool.owner import Owner, scope_named
from simpycity_template.pool.pool import Pool

if TYPE_CHECKING:
    from simpycity_template.scopes.scope import Scope

log = logging.getLogger("simpycity_template")


class Checkout(Owner):
    """A connection of a scope, and its transaction.

    Attributes:
        pool: where the connection comes from, and goes back to.
        link: the connection, also after it was given back.
    """

    __slots__ = ("link", "pool")

    pool: Pool
    link: Connection

    def acquire(self, pool: Pool, scope: "Scope", handle: Any) -> "Checkout":
        """Take a connection, and put it among the scope's.

        Arguments:
            pool: where it comes from, and goes back to.
            scope: whose it is.
            handle: that asks for it.

        Returns:
            what the handle has: as a rule this; or what a destructor or a signal's handler has taken
            for it meanwhile, in this thread.

        Raises:
            PoolTimeout: none became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
            TransactionLost: the scope was ended in another thread meanwhile.
        """
        self.pool = pool
        self.outcome = scope.outcome
        try:
            self.link = pool.acquire(self)
            taken = scope.checkouts.setdefault(handle.key, self)
            if scope.ended:
                # In another thread, which perhaps has not seen this checkout among the scope's.
                raise scope.ended_error()
            if taken is not self:
                pool.release(self)
            return taken
        except BaseException:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                pool.release(self, for_good=False)
            finally:
                pool.release(self, for_good=False)
            raise

    def replace(self, pool: Pool, scope: "Scope", handle: Any) -> None:
        """Take another connection where it was given back, or broke while no transaction was open.

        Raises:
            TransactionLost: one was open.
        """
        self.check_not_lost()
        self.pool.release(self, for_good=False)
        self.lost, self.served = False, None
        self.acquire(pool, scope, handle)

    def abandon(self) -> None:
        """Give it back, and log that nobody cleaned up."""
        connection = self.connection
        if connection is None or connection.process != os.getpid() or sys.is_finalizing():
            return
        was_closed = connection.closed
        self.pool.release(self)
        if not was_closed:
            log.warning(
                "thread %r, %s, went without cleanup(): its connection, taken at %s, "
                "was rolled back and taken back",
                self.thread,
                scope_named(self.label, self.thread),
                self.place,
            )

    # --- the transaction ---

    def check_not_lost(self) -> None:
        """Raise ``TransactionLost`` where the connection broke inside a transaction."""
        if self.link.closed and self.connection is not None:
            commit_outcome.raise_if_lost(self.link)

    def begin(self) -> None:
        """Begin a transaction; in autocommit mode alone is anything sent."""
        link = self.link
        with link.lock:
            self.check_not_released()
            if commit_outcome.commits_each_statement(link):
                link.run("BEGIN")
                link.state = BY_HAND

    def commit(self) -> None:
        """Commit.

        Raises:
            TransactionLost: the connection broke before, or was given back; nothing was committed.
            psycopg2.errors.TransactionResolutionUnknown: it broke during COMMIT.
            psycopg2.errors.InFailedSqlTransaction: a statement had failed; PostgreSQL would
                answer this COMMIT with a silent ROLLBACK.
        """
        self.check_not_released()
        self.check_not_lost()
        if self.link.closed:
            return
        with self.link.lock:
            # Once more: by now another scope may have the connection.
            self.check_not_released()
            if self.failed():
                raise errors.InFailedSqlTransaction(
                    "a statement of this transaction failed, so it cannot be committed: "
                    "call rollback(), then begin again"
                )
            self.link.commit()

    def rollback(self) -> None:
        """Roll back; never fails, because a broken connection has nothing to roll back."""
        if self.connection is None or self.released:
            return
        with self.link.lock:
            # By now another scope may have the connection.
            if self.released:
                return
            try:
                self.link.rollback()
            except psycopg2.Error:
                self.link.close()
        if self.link.closed and not self.released:
            self.pool.release(self, for_good=False)

    def failed(self) -> bool:
        """Whether a statement of the transaction has failed."""
        return bool(self.link.get_transaction_status() == FAILED)

    def run(self, sql: str) -> None:
        """Execute a statement that is part of a ``transaction()`` block.

        Raises:
            TransactionLost: the connection was given back.
            psycopg2.Error: the server refused it.
        """
        with self.link.lock:
            self.check_not_released()
            self.link.run(sql)

    def check_not_released(self) -> None:
        """Raise ``TransactionLost`` where the connection was given back."""
        if self.released:
            raise TransactionLost(
                "the connection of this transaction was given back before its end, by cleanup() or "
                "close(), in another thread or in a fork: nothing was committed"
            )

    def refuse_inside_block(self, name: str) -> None:
        """Raise an error inside a ``transaction()`` block, which alone ends its transaction."""
        if self.depth:
            raise psycopg2.ProgrammingError(
                f"{name}() inside a transaction() block would take its statements apart: "
                "leave the block, or raise an exception to roll it back"
            )
