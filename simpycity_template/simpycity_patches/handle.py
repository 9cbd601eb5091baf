"""Corrects Simpycity's ``Handle``: a name for "my connection in this scope", not a connection.

Simpycity's own handle is one connection for ever. Cached in a module-level ``Function`` it is
shared by all threads, and nobody frees it. A manager's handle has one connection in each scope
that uses it, taken at the first use and freed with the scope, so it can be kept anywhere and
used from any thread. A handle that has no manager is left as Simpycity wrote it.
"""

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Protocol

import psycopg2
from psycopg2 import extensions
from simpycity import config as simpycity_config
from simpycity.handle import Cursor, Handle

from simpycity_template.settings import isolation_level as parse_isolation_level
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.cursor import execute, open_cursor

_stock = dict(vars(Handle))


class HandleOwner(Protocol):
    """What a handle asks its manager for."""

    name: str

    def checkout(self, handle: Any) -> Any:
        """What ``handle`` has in the current scope; takes a connection where it has none."""

    def checked_out(self, handle: Any) -> Any | None:
        """What ``handle`` has in the current scope, if anything."""

    def transaction_of(self, handle: Any, forgiving: bool) -> AbstractContextManager[None]:
        """A block that commits at its end, and rolls back on an exception."""

    def release(self, handle: Any) -> None:
        """Give back what ``handle`` has in the current scope, if anything."""

    def dsn(self) -> str:
        """The libpq DSN of the database."""


class Config:
    """What Simpycity takes as ``config=``: whose connections a model or a handle uses.

    Attributes:
        manager: whose it is.
        handle: the one that all share who ask for no other.
    """

    def __init__(self, manager: HandleOwner) -> None:
        self.manager = manager
        self.handle = Handle(config=self)

    def handle_factory(
        self, dsn: str | None = None, config: Any = None, isolation_level: int | None = None
    ) -> Handle:
        """Simpycity calls this where it needs a handle; the arguments are ``Handle``'s."""
        if dsn is None and isolation_level is None:
            return self.handle
        return Handle(dsn, self, isolation_level)

    def dsn(self) -> str:
        """The libpq DSN of the manager's database, password included."""
        return self.manager.dsn()

    def __repr__(self) -> str:
        return f"<Config of {self.manager!r}>"


def manager_of(config: Any) -> Any:
    """The manager whose ``config`` this is, or else the one that is Simpycity's handle factory."""
    own = getattr(config, "manager", None)
    factory = simpycity_config.handle_factory
    return own or getattr(getattr(factory, "__self__", None), "manager", None)


def _unless_stock(managed: Callable[..., Any]) -> Callable[..., Any]:
    """Simpycity's own method for a handle without a manager, ``managed`` for the others."""
    own: Any = _stock[managed.__name__]
    if isinstance(own, property):
        own = own.fget

    @wraps(managed)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (own if self.manager is None else managed)(self, *args, **kwargs)

    return method


@corrects(Handle)
class ManagedHandle:
    """``simpycity.handle.Handle``, as ``manager.handle()`` and ``manager.open()`` return it.

    Attributes:
        manager: whose connections it uses; None where it is a handle as Simpycity wrote it.
    """

    manager: HandleOwner | None = None
    # What it took last, where it is not the handle that all threads share.
    taken: Any = None

    def __init__(
        self: Any, dsn: str | None = None, config: Any = None, isolation_level: Any = None
    ) -> None:
        """Connect at the first use, where Simpycity connects at once.

        Arguments:
            dsn: of another database than the manager's.
            config: ``manager.config``; by default that of Simpycity's handle factory.
            isolation_level: as psycopg2 numbers or names them; 0 is autocommit.
        """
        self.manager = manager_of(config)
        if self.manager is None:
            _stock["__init__"](self, dsn, config, isolation_level)
            return
        # Scopes know the handle by this, and see when nobody has it any more.
        self.key = weakref.ref(self)
        elsewhere = not isinstance(config, Config) and config not in (None, simpycity_config)
        self.config = config or self.manager.config
        self.dsn = dsn or (config.dsn() if elsewhere else None)
        self.isolation_level = parse_isolation_level("isolation_level", isolation_level)

    @property
    def conn(self: Any) -> extensions.connection:
        """The psycopg2 connection of this handle in the current scope.

        From then on psycopg2 itself begins the transactions of this connection, one round trip more
        for each: who has it may make cursors that this package does not know of.
        """
        if self.manager is None:
            return self.__dict__.get("conn")
        return self.manager.checkout(self).link.hand_out()

    @conn.setter
    def conn(self: Any, connection: Any) -> None:
        self.__dict__["conn"] = connection

    @property
    @_unless_stock
    def open(self: Any) -> bool:
        """Always true, because a connection that broke is replaced first.

        Raises:
            TransactionLost: it broke inside a transaction, so it is not replaced.
        """
        return not self.manager.checkout(self).link.closed

    def cursor(
        self: Any, *args: Any, cursor_factory: Any = None, callback: Any = None, **kwargs: Any
    ) -> Any:
        """Open a cursor.

        Arguments:
            cursor_factory: its class; Simpycity's by default.
            callback: each row is passed to it, and what it returns takes the row's place.
        """
        factory = cursor_factory or Cursor
        if self.manager is None:
            return _stock["cursor"](
                self, *args, cursor_factory=factory, callback=callback, **kwargs
            )
        checkout = self.manager.checkout(self)
        if not (args or kwargs):
            return open_cursor(checkout, factory, callback)
        link = checkout.link
        cursor = (link.proxy or link).cursor(*args, cursor_factory=factory, **kwargs)
        if getattr(factory, "merges_begin", False):
            # As in open_cursor().
            cursor.owner = checkout
        if callback:
            cursor.callback = callback
        return cursor

    @_unless_stock
    def execute(self: Any, query: Any, vars: Any = None) -> None:
        """Execute a statement; arguments and errors are those of psycopg2's ``cursor.execute()``.

        Where the connection broke before the statement was sent, it is sent on another one.
        """
        execute(self, self.manager.checkout(self), query, vars)

    @_unless_stock
    def begin(self: Any) -> None:
        """Begin a transaction in autocommit mode; otherwise the first statement begins it."""
        self.manager.checkout(self).begin()

    @_unless_stock
    def commit(self: Any) -> None:
        """Commit the handle's transaction in this scope, if any; raises as ``manager.commit()``.

        Raises:
            psycopg2.InterfaceError: a handle of ``manager.open()`` has its transaction in another
                scope.
        """
        checkout = self.manager.checked_out(self)
        if checkout is not None:
            checkout.refuse_inside_block("commit")
            checkout.commit()
        else:
            _refuse_elsewhere(self, "commit")

    @_unless_stock
    def rollback(self: Any) -> None:
        """Roll the handle's transaction in this scope back, also where its connection broke.

        Raises:
            psycopg2.InterfaceError: as ``commit()``.
        """
        checkout = self.manager.checked_out(self)
        if checkout is not None:
            checkout.refuse_inside_block("rollback")
            checkout.rollback()
        else:
            _refuse_elsewhere(self, "rollback")

    @_unless_stock
    def transaction(self: Any) -> AbstractContextManager[None]:
        """A block that commits at its end and rolls back on an exception.

        Inside another one it is a savepoint. Where a statement failed and the block went on all the
        same, it is rolled back and logged; in ``manager.transaction()`` that is an error.
        """
        return self.manager.transaction_of(self, forgiving=True)

    @_unless_stock
    def close(self: Any, *args: Any, **kwargs: Any) -> None:
        """ROLLBACK, and give the connection of this handle in the current scope back."""
        self.manager.release(self)

    @_unless_stock
    def __reconnect__(self: Any) -> None:
        """Give the connection back; the next use takes another."""
        self.manager.release(self)

    @_unless_stock
    def __repr__(self: Any) -> str:
        """Say what there is, without taking a connection for it."""
        checkout = self.manager.checked_out(self)
        state = f"session {checkout.link.backend_pid}" if checkout else "no connection now"
        return f"<Handle of {self.manager.name!r}: {state}>"


# Python drops what a signal raises in a destructor, a task's time limit for example, and Simpycity's waits
# for the server in there. What a handle without a manager has, psycopg2 itself closes with it.
if "__del__" in _stock:
    del Handle.__del__  # type: ignore[attr-defined]


def _refuse_elsewhere(handle: Any, name: str) -> None:
    """Raise an error where ``handle`` has its transaction in another scope than the current one."""
    taken = handle.taken
    if taken is not None and taken.connection is not None:
        raise psycopg2.InterfaceError(
            f"{name}() of a handle whose transaction is in scope {taken.label!r} of thread "
            f"{taken.thread!r}, taken at {taken.place}: call it there, because here the handle "
            "has no transaction"
        )
