"""What each handle has in the current scope of its thread: taken at the first use, and given back."""

import sys
from contextlib import AbstractContextManager
from typing import Any

from simpycity.handle import Handle

from simpycity_template.pool.current import CurrentPool
from simpycity_template.pool.tracebacks import end_at_application
from simpycity_template.scopes.checkout import Checkout
from simpycity_template.scopes.self_wait import self_waits
from simpycity_template.scopes.stack import Stacks
from simpycity_template.scopes.transaction import TransactionBlock
from simpycity_template.simpycity_patches.handle import Config


class Checkouts:
    """The part of ``Manager`` that knows which connection a handle has in the current scope.

    Attributes:
        name: of the manager.
        config: what Simpycity takes as ``config=``.
        current: where connections come from, and go back to.
        scopes: those that each thread is in.
    """

    config: Config

    def __init__(self, name: str) -> None:
        self.name = name
        self.current = CurrentPool(name)
        self.scopes = Stacks(name)

    def checkout(self, handle: Any) -> Checkout:
        """What ``handle`` has in the current scope; takes a connection where it has none.

        Raises:
            PoolTimeout: no connection became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
            TransactionLost: the scope was ended in another thread, or the connection broke inside
                a transaction.
        """
        stack = self.scopes.get()
        scope = stack[-1] if stack else stack.begin()
        thread, nested = stack.thread, len(stack) > 1
        del stack
        if scope.ended:
            raise scope.ended_error()
        checkout = scope.checkouts.get(handle.key)
        if checkout is None:
            if nested or scope.checkouts:
                self.scopes.release_dropped()
            # Two frames, this one and that of Owner.
            checkout = Checkout(scope.label, thread, handle.dsn, handle.isolation_level, 2)
            checkout = checkout.acquire(self.current.pool or self.current.begin(), scope, handle)
            if handle is not self.config.handle:
                handle.taken = checkout
            if nested or len(scope.checkouts) > 1:
                self_waits.watch(self.scopes.owners(), thread)
        elif checkout.connection is None or checkout.released or checkout.link.closed:
            checkout.replace(self.current.pool or self.current.begin(), scope, handle)
        return checkout

    def checked_out(self, handle: Handle) -> Checkout | None:
        """What ``handle`` has in the current scope, if anything."""
        scope = self.scopes.current()
        return scope.checkouts.get(handle.key) if scope is not None else None

    def transaction_of(self, handle: Handle, forgiving: bool) -> AbstractContextManager[None]:
        """A block that commits at its end, and rolls back on an exception."""
        return TransactionBlock(self.checkout(handle), forgiving)

    def cleanup(self) -> None:
        """End the unit of work: ROLLBACK, and release what the current scope has. Never raises."""
        try:
            self.scopes.close_current()
        except BaseException:
            # Ctrl-C or a task's time limit, anywhere in there: it ends all the same.
            self.scopes.close_current()
            raise
        error = sys.exc_info()[1]
        if error is not None:
            end_at_application(error)

    def release(self, handle: Handle) -> None:
        """ROLLBACK and give back what ``handle`` has in the current scope, if anything."""
        stack = self.scopes.get()
        scope = stack[-1] if stack else None
        del stack
        if scope is not None:
            scope.close(handle.key)
