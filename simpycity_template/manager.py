"""The manager: knows every open handle of the process, by scope, and frees them."""

import atexit
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial, wraps
from math import ceil
from typing import Any

import psycopg2
import simpycity.config
from psycopg2.extensions import connection, parse_dsn
from simpycity.handle import Handle

from simpycity_template.pool.events import Events, Listener
from simpycity_template.pool.metrics import Metrics, measured
from simpycity_template.pool.owner import Holder, Status
from simpycity_template.pool.pool import Pool
from simpycity_template.process import fork
from simpycity_template.process.thread_local import PerThread
from simpycity_template.scopes.scope import Hold, Scope, Scopes
from simpycity_template.settings import EMBEDDED, Settings

# Imported for what they correct in Simpycity.
from simpycity_template.simpycity_patches import cursor as _cursor  # noqa: F401
from simpycity_template.simpycity_patches import handle as _handle  # noqa: F401
from simpycity_template.simpycity_patches import query as _query  # noqa: F401

log = logging.getLogger("simpycity_template")


class Config:
    """What Simpycity takes as ``config=``: whose connections a model or a handle uses."""

    def __init__(self, manager: "Manager") -> None:
        self.manager = manager

    def handle_factory(
        self, dsn: str | None = None, config: Any = None, isolation_level: int | None = None
    ) -> Handle:
        """Simpycity calls this where it needs a handle; the arguments are ``Handle``'s."""
        if dsn is None and isolation_level is None:
            return self.manager.handle()
        return Handle(dsn, self, isolation_level)

    def dsn(self) -> str:
        """The libpq DSN of the manager's database, password included."""
        return self.manager.dsn()

    def __repr__(self) -> str:
        return f"<Config of {self.manager!r}>"


class Manager:
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
        self.name = name
        self.config = Config(self)
        self._settings: Settings | None = None
        # The DSN of the embedded server, once it is started.
        self._server: str | None = None
        self._pools: dict[str | None, Pool] = {}
        self._events = Events()
        self._lock = threading.RLock()
        # The scopes that a thread is in, the current one last.
        self._scopes = PerThread(Scopes)
        self._handle = Handle(config=self.config)
        _managers.add(self)

    def configure(
        self, config: Mapping[str, Any], prefix: str = "simpycity.", default: bool = True
    ) -> None:
        """Take the settings out of an INI mapping. Connects to nothing yet.

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
        with self._lock:
            pools: dict[str | None, Pool] = {}
            if settings != self._settings:
                self._settings, self._server = settings, None
                pools, self._pools = self._pools, pools
        _close(pools)
        if default and settings.default:
            self._become_default(prefix)

    @property
    def settings(self) -> Settings | None:
        """What ``configure()`` was given, checked; None before."""
        return self._settings

    def handle(self) -> Handle:
        """The current scope's handle: one connection, one transaction.

        It can be kept, at module level too: it stands for the connection of the scope that uses
        it, whichever that is.
        """
        return self._handle

    def open(self, isolation_level: int | str | None = None) -> Handle:
        """Return one more handle, with a connection and a transaction of its own.

        It is freed with the scope, or before that with its ``close()``.

        Arguments:
            isolation_level: as psycopg2 numbers or names them; 0 is autocommit.

        Raises:
            PoolTimeout: no connection became free within ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
        """
        handle = Handle(config=self.config, isolation_level=isolation_level)
        self.hold(handle)
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
        return self.hold(self.handle()).transaction()

    def scope(self, label: str) -> "ScopeBlock":
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
        return ScopeBlock(self, label)

    def cleanup(self) -> None:
        """End the unit of work: ROLLBACK, and release what the current scope has. Never raises."""
        scope = self.current()
        if scope is not None:
            scope.close()

    def status(self) -> list[Status]:
        """One entry for each open connection of this process, those in use first."""
        return [entry for pool in list(self._pools.values()) for entry in pool.status()]

    def waiting(self) -> list[Holder]:
        """Who waits for a connection now, in this process, in the order of the queue."""
        return [holder for pool in list(self._pools.values()) for holder in pool.waiting()]

    def metrics(self) -> Metrics:
        """What the connections of this process do now and have done, as numbers."""
        pools = list(self._pools.values())
        max_size = sum(pool.settings.max_size for pool in pools)
        if not pools and self._settings:
            max_size = self._settings.max_size
        return measured([pool.now() for pool in pools], max_size, self._events)

    def listen(self, name: str, listener: Listener) -> None:
        """Call ``listener`` with an ``Event`` whenever something happens to a connection.

        It is called in the thread where it happens, which waits meanwhile; an exception of it is
        logged, and stops nothing. (PostgreSQL's LISTEN is another thing.) It may call ``metrics()``
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
        - ``lost``: a connection broke inside a transaction. Told when its scope gives it back.
        - ``hold_warning``: a connection is held longer than ``simpycity.hold_warning``.

        Arguments:
            name: one of these.
            listener: called with one argument, a :class:`simpycity_template.events.Event`.

        Raises:
            ValueError: there is no such event.
        """
        self._events.listen(name, listener)

    def unlisten(self, name: str, listener: Listener) -> None:
        """Undo a ``listen()`` with the same arguments.

        Raises:
            ValueError: there is no such event, or the listener does not listen to it.
        """
        self._events.unlisten(name, listener)

    def dispose(self) -> None:
        """Close every connection, in use or not. At exit this happens by itself."""
        with self._lock:
            pools, self._pools = self._pools, {}
        _close(pools)

    def dsn(self) -> str:
        """The libpq DSN that connections are opened with; starts an embedded server.

        Raises:
            RuntimeError: the manager has no settings yet.
        """
        settings = self._configured()
        if not settings.dsn.startswith(EMBEDDED):
            return settings.dsn
        from simpycity_template import embedded

        directory = settings.dsn.removeprefix(EMBEDDED).strip()
        server = embedded.dsn(directory, settings.database or self.name)
        with self._lock:
            # To start a server takes seconds, in which configure() may have been called.
            if self._settings is settings:
                self._server = server
        return server

    # --- for handles and for those who begin and end scopes ---

    def hold(self, handle: Handle) -> Hold:
        """What ``handle`` has in the current scope; takes a connection where it has none."""
        scope = self.current()
        if scope is None:
            scope = Scope(threading.current_thread().name, begun=False)
            self.enter(scope)
        hold = scope.holds.get(handle.key)
        if hold is None:
            pool = self._pools.get(handle.dsn) or self._pool(handle.dsn)
            hold = scope.holds[handle.key] = Hold(pool, Holder(scope.label), handle.isolation_level)
        elif hold.connection.closed:
            hold.renew(self._pool(handle.dsn))
        return hold

    def held(self, handle: Handle) -> Hold | None:
        """What ``handle`` has in the current scope, if anything."""
        scope = self.current()
        return scope.holds.get(handle.key) if scope is not None else None

    def release(self, handle: Handle) -> None:
        """ROLLBACK and give back what ``handle`` has in the current scope, if anything."""
        scope = self.current()
        hold = scope.holds.pop(handle.key, None) if scope is not None else None
        if hold is not None:
            hold.release()

    def current(self) -> Scope | None:
        """The current scope of this thread, if there is one."""
        scopes = self._scopes.get()
        while scopes:
            scope = scopes[-1]
            if not scope.ended:
                return scope
            scopes.pop()
        return None

    def enter(self, scope: Scope) -> None:
        """Make ``scope`` the current one of this thread; the one there was waits."""
        self._scopes.get().append(scope)

    def leave(self, scope: Scope) -> list[Scope]:
        """Make the scope that waited for ``scope`` the current one again.

        Returns:
            what this thread has left: ``scope``, and the scopes that were begun inside it and not
            left, as that of a block which a generator is in.
        """
        scopes = self._scopes.get()
        for index in reversed(range(len(scopes))):
            if scopes[index] is scope:
                left = scopes[index:]
                del scopes[index:]
                return left
        return [scope]

    def end(self, meant: Callable[[Scope], bool]) -> None:
        """End the innermost scope of this thread for which ``meant`` is true, if there is one.

        With it ends what was begun inside it and not left.
        """
        for scope in reversed(self._scopes.get()):
            if not scope.ended and meant(scope):
                for left in reversed(self.leave(scope)):
                    left.close()
                return

    def leave_innermost(self, begun: list[Scope]) -> Scope:
        """Leave the innermost of the scopes ``begun`` that this thread is in, and return it.

        A scope in a generator may end out of order, or in another thread than it began in: where
        this thread is in none of them, the last one begun is returned.
        """
        scopes = self._scopes.get()
        if scopes and scopes[-1] in begun:
            return scopes.pop()
        for index in reversed(range(len(scopes))):
            if scopes[index] in begun:
                return scopes.pop(index)
        return begun[-1]

    def _configured(self) -> Settings:
        if self._settings is None:
            raise RuntimeError(
                f"manager {self.name!r} has no settings yet: "
                "call its configure(config) before the first query"
            )
        return self._settings

    def _pool(self, dsn: str | None) -> Pool:
        pool = self._pools.get(dsn)
        if pool is None:
            with self._lock:
                pool = self._pools.get(dsn) or self._new_pool(self._configured(), dsn)
                pool = self._pools.setdefault(dsn, pool)
        return pool

    def _new_pool(self, settings: Settings, dsn: str | None) -> Pool:
        if _exiting and threading.current_thread() is not threading.main_thread():
            raise psycopg2.InterfaceError(
                "the interpreter is exiting and has closed its connections: no new work is begun"
            )
        if dsn is None:
            return Pool(self.name, settings, self._connect, self._events)
        # Another database, of which only the DSN is known: nothing idle is kept.
        settings = replace(settings, pool_size=0, max_overflow=settings.max_size)
        return Pool(self.name, settings, partial(_connect, dsn, settings), self._events)

    def _connect(self, **options: Any) -> connection:
        server = self._server
        if server is not None:
            try:
                return psycopg2.connect(server, **options)
            except psycopg2.OperationalError:
                # The embedded server may have stopped: dsn() starts it again.
                pass
        return _connect(self.dsn(), self._configured(), **options)

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
        self._lock = threading.RLock()
        self._events.forked()
        for scope in self._scopes.get():
            scope.forget()

    def __repr__(self) -> str:
        return f"<Manager {self.name!r}>"


class ScopeBlock:
    """What ``manager.scope()`` returns: a ``with`` block or a decorator."""

    __slots__ = ("_label", "_manager", "_scopes")

    # Not made with contextlib, whose generators cost more than all the rest of a scope.
    def __init__(self, manager: Manager, label: str) -> None:
        self._manager = manager
        self._label = label
        # More than one where the block is used within itself, or by several threads.
        self._scopes: list[Scope] = []

    def __enter__(self) -> None:
        scope = Scope(self._label)
        self._scopes.append(scope)
        self._manager.enter(scope)

    def __exit__(self, *error: object) -> None:
        scope = self._manager.leave_innermost(self._scopes)
        self._scopes.remove(scope)
        scope.ended = True
        scope.close()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give each call of ``function`` a scope of its own.

        Raises:
            TypeError: it is a generator function or a coroutine function.
        """
        _refuse_what_runs_later(function, self._label)

        @wraps(function)
        def in_scope(*args: Any, **kwargs: Any) -> Any:
            with ScopeBlock(self._manager, self._label):
                return function(*args, **kwargs)

        return in_scope


def _refuse_what_runs_later(function: Callable[..., Any], label: str) -> None:
    if inspect.isgeneratorfunction(function):
        instead = f"put 'with manager.scope({label!r}):' around the loop that uses it"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        instead = "decorate a plain function, and await it with asyncio.to_thread()"
    else:
        return
    raise TypeError(
        f"scope({label!r}) cannot decorate {getattr(function, '__qualname__', function)}, whose body "
        f"runs after its call has returned and the scope has ended: {instead}"
    )


def _connect(dsn: str, settings: Settings, **options: Any) -> connection:
    if "PGCONNECT_TIMEOUT" not in os.environ and "connect_timeout" not in parse_dsn(dsn):
        # A server that does not answer must not hold a thread up for minutes. 2 is libpq's least.
        options["connect_timeout"] = max(2, ceil(settings.pool_timeout))
    return psycopg2.connect(dsn, **options)


def _close(pools: Mapping[str | None, Pool]) -> None:
    for pool in pools.values():
        pool.close()


# By name, those of get_manager(); and all of them.
_named: dict[str, Manager] = {}
_managers: "weakref.WeakSet[Manager]" = weakref.WeakSet()
_exiting = False


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


def _exit() -> None:
    global _exiting
    _exiting = True
    for manager in list(_managers):
        manager.dispose()


def _forked() -> None:
    for manager in list(_managers):
        manager._forked()


atexit.register(_exit)
fork.after_in_child(_forked)
