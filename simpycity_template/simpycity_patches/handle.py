"""Corrects Simpycity's ``Handle``: a name for "my connection in this scope", not a connection.

Simpycity's own handle is one connection for ever. Cached in a module-level ``Function`` it is
shared by all threads, and nobody frees it. A manager's handle has one connection in each scope
that uses it, taken at the first use and freed with the scope, so it can be kept anywhere and
used from any thread. A handle that no manager stands behind is left as Simpycity wrote it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions
from simpycity import config as simpycity_config
from simpycity.handle import Cursor, Handle

from simpycity_template.settings import isolation_level as parse_isolation_level
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.cursor import was_never_sent

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

_stock = dict(vars(Handle))


def manager_of(config: Any) -> "Manager | None":
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

    manager = None

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
        # Scopes know the handle by this: ids are used again, and keeping the handle itself
        # would keep its connection from being freed with it.
        self.key = object()
        elsewhere = config not in (None, simpycity_config, self.manager.config)
        self.config = config or self.manager.config
        self.dsn = dsn or (config.dsn() if elsewhere else None)
        self.isolation_level = parse_isolation_level("isolation_level", isolation_level)

    @property
    def conn(self: Any) -> extensions.connection:
        """The psycopg2 connection of this handle in the current scope."""
        if self.manager is None:
            return self.__dict__.get("conn")
        return self.manager.hold(self).connection.show()

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
        return not self.manager.hold(self).connection.closed

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
        connection = self.manager.hold(self).connection
        if args or kwargs or not isinstance(factory, type) or not issubclass(factory, Cursor):
            # It may be one of psycopg2's own, which can be used at any time.
            cursor = connection.cursor(*args, cursor_factory=factory, **kwargs)
        else:
            # As psycopg2's cursor() does it in the end.
            cursor = factory(connection)
        if callback:
            cursor.callback = callback
        return cursor

    @_unless_stock
    def execute(self: Any, *args: Any, **kwargs: Any) -> None:
        """Execute a statement; arguments and errors are those of psycopg2's ``cursor.execute()``.

        Where the connection broke before the statement was sent, it is sent on another one.
        """
        cursor = self.cursor()
        try:
            cursor.execute(*args, **kwargs)
        except psycopg2.OperationalError:
            if not was_never_sent(cursor):
                raise
            self.cursor().execute(*args, **kwargs)

    @_unless_stock
    def begin(self: Any) -> None:
        """Begin a transaction in autocommit mode; otherwise the first statement begins it."""
        self.manager.hold(self).begin()

    @_unless_stock
    def commit(self: Any) -> None:
        """Commit the handle's transaction in this scope, if any; raises as ``manager.commit()``."""
        hold = self.manager.held(self)
        if hold:
            hold.commit()

    @_unless_stock
    def rollback(self: Any) -> None:
        """Roll the handle's transaction in this scope back, also where its connection broke."""
        hold = self.manager.held(self)
        if hold:
            hold.rollback()

    @_unless_stock
    def transaction(self: Any) -> AbstractContextManager[None]:
        """A block that commits at its end and rolls back on an exception.

        Inside another one it is a savepoint. Where a statement failed and the block went on all the
        same, it is rolled back and logged; in ``manager.transaction()`` that is an error.
        """
        return self.manager.hold(self).transaction(forgiving=True)

    @_unless_stock
    def close(self: Any, *args: Any, **kwargs: Any) -> None:
        """ROLLBACK, and give the connection of this handle in the current scope back."""
        self.manager.release(self)

    @_unless_stock
    def __reconnect__(self: Any) -> None:
        """Let go of the connection; the next use takes another."""
        self.manager.release(self)

    @_unless_stock
    def __del__(self: Any) -> None:
        """Nobody can use it any more, so its connection need not wait for the scope's end."""
        self.manager.release(self)

    @_unless_stock
    def __repr__(self: Any) -> str:
        """Say what there is, without taking a connection for it."""
        hold = self.manager.held(self)
        state = f"session {hold.connection.backend_pid}" if hold else "no connection now"
        return f"<Handle of {self.manager.name!r}: {state}>"
