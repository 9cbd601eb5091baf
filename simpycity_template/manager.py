"""The manager: knows every open handle of the process, by scope, and frees them."""

import atexit
import logging
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import simpycity.config
from simpycity.handle import Handle

from simpycity_template import simpycity_patches
from simpycity_template.pool.current import CurrentPool
from simpycity_template.pool.database import address
from simpycity_template.pool.events import Listener
from simpycity_template.pool.metrics import Metrics, Now, measured
from simpycity_template.pool.owner import Owner, Status
from simpycity_template.process import fork
from simpycity_template.scopes.block import ScopeBlock
from simpycity_template.scopes.checkouts import Checkouts
from simpycity_template.settings import Settings
from simpycity_template.simpycity_patches.handle import Config

simpycity_patches.install()

log = logging.getLogger("simpycity_template")


class Manager(Checkouts):
    """Every open connection to one database, by the scope that uses it.

    A scope is a thread's unit of work. Where none was begun with ``scope()``, the first use of a
    connection begins one, and ``cleanup()`` ends it. Use ``get_manager()`` to make one.

    Attributes:
        name: what ``get_manager()`` was given.
        config: what Simpycity takes as ``config=``, for a second database: a model with
            ``config = manager.config`` uses this manager's connections.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"a manager's name is {name!r}: it must be a text such as 'helloworld'"
            )
        super().__init__(name)
        self.config = Config(self)
        _managers.add(self)

    def configure(
        self, config: Mapping[str, Any], prefix: str = "simpycity.", default: bool = True
    ) -> None:
        """Take the settings out of an INI mapping. Connects to nothing yet.

        Where the manager has settings already, and the new ones only log in in another way at the
        same database, as with a new password, what is under way finishes with the connections that
        it has. Where they differ in anything else, these are closed. Another database is logged,
        because two applications of one name in a process share their manager; call ``dispose()``
        before where that is meant.

        Arguments:
            config: an INI section, ``pylons.config``, or any mapping.
            prefix: what the keys begin with.
            default: become Simpycity's handle factory, so that every ``Function``, ``SimpleModel``
                and ``Handle`` that names no other manager uses this one; unless the setting
                ``default`` is false.

        Raises:
            ValueError: a setting is wrong; the message names it.
        """
        settings = Settings.from_config(config, prefix)
        before = self.current.configure(settings)
        if before is not None and address(before) != address(settings):
            log.warning(
                "manager %r now uses the database %s and no longer %s, also for the application "
                "that configured it first: where two applications of one name are in this process, "
                "give one another name in its get_manager()",
                self.name,
                _in_words(address(settings)),
                _in_words(address(before)),
            )
        if default and settings.default:
            self._become_default(prefix)

    @property
    def settings(self) -> Settings | None:
        """What ``configure()`` was given, checked; None before."""
        return self.current.settings

    def handle(self) -> Handle:
        """The current scope's handle: one connection, one transaction.

        It can be kept, at module level too: it stands for the connection of the scope that uses
        it, whichever that is.
        """
        return self.config.handle

    def open(self, isolation_level: int | str | None = None) -> Handle:
        """Return one more handle, with a connection and a transaction of its own.

        It is freed with the scope, or before that with its ``close()``; where nobody has it any more,
        when its thread takes another one.

        Arguments:
            isolation_level: as psycopg2 numbers or names them; 0 is autocommit.

        Raises:
            PoolTimeout: no connection became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
        """
        handle = Handle(config=self.config, isolation_level=isolation_level)
        self.checkout(handle)
        return handle

    def commit(self) -> None:
        """Commit the current scope's transaction, if there is one.

        Raises:
            TransactionLost: the connection broke inside it; nothing was committed.
            psycopg2.errors.TransactionResolutionUnknown: it broke during the COMMIT.
            psycopg2.errors.InFailedSqlTransaction: a statement had failed; nothing was committed.
        """
        self.handle().commit()

    def rollback(self) -> None:
        """Roll the current scope's transaction back, if there is one."""
        self.handle().rollback()

    def transaction(self) -> AbstractContextManager[None]:
        """A block that commits at its end, as ``commit()`` does, and rolls back on an exception.

        Inside another one it is a savepoint. ``commit()`` and ``rollback()`` are refused in it.

        Raises:
            PoolTimeout, psycopg2.OperationalError: as ``open()``.
        """
        return self.transaction_of(self.config.handle, forgiving=False)

    def scope(self, label: str) -> ScopeBlock:
        """A unit of work outside a request; also as a decorator.

        It has connections of its own, and frees them at its end. The scope around it, if any,
        waits meanwhile. It is the thread's, so a coroutine must not await inside it: what others
        do in that thread meanwhile would belong to it.

        Arguments:
            label: what it is called in ``status()``, in errors and in the log.

        Raises:
            TypeError: the label is not a text.
        """
        if not isinstance(label, str):
            raise TypeError(
                f"the label of a scope is {label!r}: it must be a text, "
                'as in manager.scope("nightly backup")'
            )
        return ScopeBlock(self.scopes, label)

    def status(self) -> list[Status]:
        """One entry for each open connection of this process, those in use first."""
        pool = self.current.pool
        return pool.status() if pool is not None else []

    def waiting(self) -> list[Owner]:
        """Who waits for a connection now, in this process, in the order of the queue."""
        pool = self.current.pool
        return pool.waiting() if pool is not None else []

    def metrics(self) -> Metrics:
        """What the connections of this process do now and have done, as numbers."""
        pool = self.current.pool
        now = pool.now() if pool is not None else Now(0, 0, 0, 0)
        return measured(now, self.settings.max_size if self.settings else 0, self.current.events)

    def listen(self, name: str, listener: Listener) -> None:
        """Call ``listener`` with an ``Event`` whenever something happens to a connection.

        It is called in the thread where it happens, which waits meanwhile; an exception of it is
        logged, and stops nothing. What a signal's handler raises meanwhile, a task's time limit for
        example, goes on. (PostgreSQL's LISTEN is another thing.) It may call ``metrics()``
        and ``status()``. It may query on the event's connection, but not through the manager: that
        would take another connection, which is an event again, and so on without end. The names:

        - ``connect``: a connection was opened. What the listener does on it and does not commit
          is rolled back.
        - ``checkout``: a scope gets a connection. What the listener does on it belongs to the
          scope's transaction; in autocommit mode each of its statements is committed by itself.
        - ``checkin``: a connection came back.
        - ``wait``: a thread had to wait for a connection and has got it.
        - ``timeout``: a thread gave up waiting, with ``PoolTimeout``.
        - ``reconnect``: an idle connection was found broken and is replaced.
        - ``lost``: a connection broke inside a transaction. Fired when its scope gives it back.
        - ``hold_warning``: a connection is held longer than ``simpycity.hold_warning``.
        - ``begin``: a transaction begins, in a scope that may have had others. What the listener
          executes, such as ``SET LOCAL``, belongs to it; what it raises the statement raises.
          Statements of psycopg2's own cursors, as ``handle.conn`` makes them, are not seen.
        - ``statement``: a statement was executed; with its text, and without its arguments.

        A connection that is in use at that moment takes notice of the first listener to ``begin``
        or ``statement`` when its next scope begins.

        Arguments:
            name: one of these.
            listener: called with one argument, a :class:`simpycity_template.events.Event`.

        Raises:
            ValueError: there is no such event.
        """
        self.current.events.listen(name, listener)

    def unlisten(self, name: str, listener: Listener) -> None:
        """Undo a ``listen()`` with the same arguments.

        Raises:
            ValueError: there is no such event, or the listener does not listen to it.
        """
        self.current.events.unlisten(name, listener)

    def dispose(self) -> None:
        """Close every connection, in use or not. At exit this happens by itself."""
        self.current.dispose()

    def dsn(self) -> str:
        """The libpq DSN that connections are opened with; starts an embedded server.

        Raises:
            RuntimeError: the manager has no settings yet.
            psycopg2.OperationalError: ``password_command`` gave no password.
        """
        return self.current.database().dsn()

    def _become_default(self, prefix: str) -> None:
        before = getattr(simpycity.config.handle_factory, "__self__", None)
        if isinstance(before, Config) and before.manager is not self:
            log.warning(
                "queries that name no manager now use %r and no longer %r, also where that "
                "manager's application makes them: set %sdefault = false for one of the two",
                self.name,
                before.manager.name,
                prefix,
            )
        simpycity.config.handle_factory = self.config.handle_factory

    def _forked(self) -> None:
        self.current.forked()
        self.scopes.forked()

    def __repr__(self) -> str:
        return f"<Manager {self.name!r}>"


# By name, those of get_manager(); and all of them.
_named: dict[str, Manager] = {}
_managers: "weakref.WeakSet[Manager]" = weakref.WeakSet()


def get_manager(name: str) -> Manager:
    """The manager of that name, made at the first call; the same one ever after.

    A module that is imported again gets the same manager again, so nothing is left behind.

    Arguments:
        name: of the application, as a rule; sessions show it as their ``application_name``.

    Raises:
        ValueError: the name is not a text, or empty.
    """
    manager = _named.get(name) if isinstance(name, str) else None
    return manager or _named.setdefault(name, Manager(name))


def configured_managers() -> list[Manager]:
    """The managers of this process that know their database, by name."""
    return [_named[name] for name in sorted(_named) if _named[name].settings]


def _in_words(address: Mapping[str, str | None]) -> str:
    return " ".join(f"{name}={value}" for name, value in address.items() if value)


def _exit() -> None:
    CurrentPool.exiting = True
    for manager in list(_managers):
        manager.dispose()


def _forked() -> None:
    for manager in list(_managers):
        manager._forked()


atexit.register(_exit)
fork.after_in_child(_forked)
