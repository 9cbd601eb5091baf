"""Corrects how Simpycity's cursors execute, and their life beyond the scope.

A cursor that outlives its scope must send nothing: by then its connection serves another scope.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import psycopg2
from psycopg2 import extensions
from psycopg2.sql import Composable
from simpycity.handle import Cursor

from simpycity_template.driver import merged_begin
from simpycity_template.driver.commit_outcome import (
    check_after_statement,
    raise_if_lost,
    was_never_sent,
)
from simpycity_template.driver.disconnect import raise_translated
from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.driver.traced_cursor import traced
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.from_sql import CASTERS, casts_of
from simpycity_template.simpycity_patches.pg_types import FIRST_OF_USERS
from simpycity_template.simpycity_patches.to_sql import PLAIN, all_to_sql

# psycopg2's own attribute, which does not hand the connection out: for this package alone.
_connection: Any = extensions.cursor.connection
connection_of = _connection.__get__

# psycopg2's cursor beneath its DictCursor.
_plain = extensions.cursor
_init: Any = _plain.__init__
_execute: Any = _plain.execute


def locked(cursor: Any, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call psycopg2's method ``call``, which needs the server, while nobody else does."""
    owner = cursor.owner
    if owner is None:
        # On a connection of no manager.
        return call(cursor, *args, **kwargs)
    connection = connection_of(cursor)
    with connection.lock:
        # Only now: who had the lock before may have ended the scope.
        if owner.released or owner.connection is not connection:
            raise owner.cursor_error()
        try:
            return call(cursor, *args, **kwargs)
        except psycopg2.Error as error:
            _raise_translated(connection, error)


def _raise_translated(connection: Any, error: psycopg2.Error) -> NoReturn:
    if isinstance(error, psycopg2.InterfaceError):
        # psycopg2 says of a connection that broke that the cursor is closed.
        raise_if_lost(connection)
    raise_translated(connection, error)


def _in_transaction(name: str) -> Any:
    """psycopg2's method ``name``, which sends statements; BEGIN goes first where it is needed."""
    own: Any = getattr(_plain, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        owner = self.owner
        if owner is None:
            return own(self, *args, **kwargs)
        connection = connection_of(self)
        # The first text is the statement, or the name of what is called or copied.
        named = (
            value for value in (*args, *kwargs.values()) if isinstance(value, str | Composable)
        )
        owner.last_sql = _text(next(named, ""))

        def send() -> Any:
            ensure_transaction(connection)
            return own(self, *args, **kwargs)

        if connection.statements is None:
            return send()
        return connection.statements.execute(owner, connection, self, send)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return locked(self, call, *args, **kwargs)

    method.__name__, method.__doc__ = name, own.__doc__
    return method


def _text(query: Any) -> str:
    """A statement as reports show it."""
    return query if isinstance(query, str) else repr(query)


_callproc = _in_transaction("callproc")
_executemany = _in_transaction("executemany")
_mogrify: Any = _plain.mogrify


@corrects(Cursor)
class ScopedCursor:
    """The methods of a cursor that belongs to a scope."""

    callback = None
    # The place of each column in a row, by its name; None until that is needed.
    index: dict[str, int] | None = None
    # What reads the columns whose types are of the database's schema.
    casts: dict[int, Any] | None = None
    # Whether BEGIN went along with the last statement.
    merged = False
    # Its execute() goes through merged_begin.py.
    merges_begin = True

    def __init__(self: Any, connection: Any, name: Any = None, callback: Any = None) -> None:
        """Remember who has the connection now: for as long as that lasts the cursor can be used."""
        _init(self, connection, name)
        if callback:
            self.callback = callback
        self.owner = getattr(connection, "owner", None)
        if self.owner is not None:
            ours, chosen = CASTERS, connection.string_types
            # What the application has chosen for the connection goes before what is ours.
            self.string_types = {**ours, **chosen} if chosen else ours

    def execute(self: Any, query: Any, vars: Any = None) -> None:
        """Execute, and note the statement for whoever asks what the owner is doing."""
        owner = self.owner
        self.index = None
        self.merged = False
        if owner is None:
            # On a connection of no manager.
            return _execute(self, query, vars)
        connection = connection_of(self)
        if isinstance(query, str):
            owner.last_sql = query
            if owner.comment:
                query = owner.comment + query
        else:
            owner.last_sql = _text(query)
        if vars:
            for value in vars:
                if type(value) not in PLAIN or type(vars) is dict:
                    vars = all_to_sql(vars)
                    break
        with connection.lock:
            # Only now: who had the lock before may have ended the scope.
            if owner.released or owner.connection is not connection:
                raise owner.cursor_error()
            try:
                if connection.statements is None:
                    merged_begin.execute(connection, self, query, vars)
                else:
                    send = partial(merged_begin.execute, connection, self, query, vars)
                    connection.statements.execute(owner, connection, self, send)
            except BaseException as error:
                check_after_statement(connection, self.query, error)
                if isinstance(error, psycopg2.Error):
                    _raise_translated(connection, error)
                raise
        describe(self)

    @property
    def connection(self: Any) -> Any:
        """The psycopg2 connection."""
        connection = connection_of(self)
        return connection if self.owner is None else connection.hand_out()

    @property
    def query(self: Any) -> bytes | None:
        """The statement that was sent last, without the BEGIN that went along with it."""
        sent: bytes | None = _plain.query.__get__(self)
        return sent.removeprefix(merged_begin.BEGIN) if sent and self.merged else sent

    def callproc(self: Any, procname: str, vars: Any = None) -> Any:
        """Call a function of the server."""
        self.index = None
        values = _callproc(self, procname, vars)
        describe(self)
        return values

    def mogrify(self: Any, query: Any, vars: Any = None) -> bytes:
        """The statement as it would be sent."""
        sent: bytes = _mogrify(self, query, all_to_sql(vars) if vars and self.owner else vars)
        return sent

    def executemany(self: Any, query: Any, vars_list: Any) -> None:
        """Execute a statement for each of the arguments."""
        _executemany(
            self, query, [all_to_sql(one) for one in vars_list] if self.owner else vars_list
        )

    copy_expert = _in_transaction("copy_expert")
    copy_from = _in_transaction("copy_from")
    copy_to = _in_transaction("copy_to")

    def close(self: Any) -> None:
        """Close; the ROLLBACK at the end of its scope has closed a server-side one already."""
        owner = self.owner
        if owner is None or not self.name:
            _plain.close(self)
            return
        connection = connection_of(self)
        with connection.lock:
            if owner.connection is connection and not owner.released:
                _plain.close(self)


def describe(cursor: Any) -> None:
    """Note where in a row each column is, and what reads those of the schema's types."""
    cursor.casts = None
    columns = cursor.description
    if columns:
        index = cursor.index = {}
        place, of_schema = 0, False
        for column in columns:
            index[column.name] = place
            place += 1
            if column.type_code >= FIRST_OF_USERS:
                of_schema = True
        if of_schema and cursor.owner is not None:
            cursor.casts = casts_of(connection_of(cursor), columns)


def open_cursor(checkout: Any, factory: Any, callback: Any = None) -> Any:
    """Open a cursor.

    Arguments:
        checkout: whose connection it is of. It can be used only as long as the checkout has that.
        factory: its class; where that is not Simpycity's, it may be used at any time.
        callback: each row is passed to it.
    """
    link = checkout.link
    if not getattr(factory, "merges_begin", False):
        cursor = (link.proxy or link).cursor(cursor_factory=factory)
    else:
        if link.tracer is not None:
            factory = traced(factory, link.tracer)
        if link.proxy is not None:
            cursor = link.proxy.cursor(cursor_factory=factory)
        else:
            # As psycopg2's cursor() does it in the end.
            cursor = factory(link)
        # The connection may have another owner by now.
        cursor.owner = checkout
    if callback:
        cursor.callback = callback
    return cursor


def execute(
    handle: Any,
    checkout: Any,
    query: Any,
    arguments: Any,
    factory: Any = Cursor,
    callback: Any = None,
) -> Any:
    """Execute a statement on a new cursor, and return the cursor.

    Where the connection broke before the statement was sent, it is sent on another connection.

    Arguments:
        handle: that has the connection.
        checkout: its checkout; None where the handle has no manager.
        query, arguments: as psycopg2 takes them.
        factory, callback: as those of ``Handle.cursor()``.
    """
    if checkout is None:
        cursor = handle.cursor(cursor_factory=factory, callback=callback)
    else:
        cursor = open_cursor(checkout, factory, callback)
    try:
        cursor.execute(query, arguments)
    except psycopg2.OperationalError:
        if not _was_never_sent(handle, cursor):
            raise
        cursor = handle.cursor(cursor_factory=factory, callback=callback)
        cursor.execute(query, arguments)
    return cursor


def _was_never_sent(handle: Any, cursor: Any) -> bool:
    if handle.manager is not None:
        checkout = handle.manager.checked_out(handle)
        return checkout is not None and was_never_sent(checkout.link)
    link = cursor.connection
    # Of the first statement of a transaction it is known: psycopg2 had no answer to its BEGIN.
    return bool(link.closed and not link.autocommit and link.status == extensions.STATUS_READY)
