"""Corrects Simpycity's cursors: iteration on Python 3.7 and later, and life beyond the scope.

A cursor that outlives its scope must send nothing: by then its connection serves another scope.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import psycopg2
from psycopg2 import extensions
from psycopg2.sql import Composable
from simpycity.handle import Cursor, TypedCursor

from simpycity_template.driver import merged_begin
from simpycity_template.driver.commit_outcome import check_after_statement, raise_if_lost
from simpycity_template.driver.disconnect import raise_translated
from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.errors import TransactionLost
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.from_sql import CASTERS, casts_of
from simpycity_template.simpycity_patches.pg_types import FIRST_OF_USERS
from simpycity_template.simpycity_patches.rows import connection_of, is_model, make_rows
from simpycity_template.simpycity_patches.to_sql import PLAIN, all_to_sql

# psycopg2's cursor beneath its DictCursor.
_plain = extensions.cursor
_init: Any = _plain.__init__
_execute: Any = _plain.execute
_fetchall: Any = _plain.fetchall


def _scope_has_ended(owner: Any) -> psycopg2.Error:
    if owner.ended_elsewhere:
        return TransactionLost(
            "the scope of this cursor was ended in another thread, and its transaction was rolled "
            "back: end a scope in the thread that began it"
        )
    return psycopg2.InterfaceError(
        "the scope of this cursor has ended, and it has no connection any more: "
        "call the query again for a new one"
    )


def _locked(cursor: Any, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call psycopg2's method ``call``, which needs the server, while nobody else does."""
    owner = cursor.owner
    if owner is None:
        # On a connection of no manager.
        return call(cursor, *args, **kwargs)
    connection = connection_of(cursor)
    with connection.lock:
        # Only now: who had the lock before may have ended the scope.
        if connection.owner is not owner:
            raise _scope_has_ended(owner)
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
        return _locked(self, call, *args, **kwargs)

    method.__name__, method.__doc__ = name, own.__doc__
    return method


def _text(query: Any) -> str:
    """A statement as reports show it."""
    return query if isinstance(query, str) else repr(query)


def _fetched(cursor: Any, own: Any, *args: Any) -> Any:
    """Call psycopg2's method ``own``, which reads rows.

    Those of a client-side cursor are here already, and can be read after its scope as well.
    """
    return _locked(cursor, own, *args) if cursor.name else own(cursor, *args)


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
            if connection.owner is not owner:
                raise _scope_has_ended(owner)
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
        self.casts = None
        for column in self.description or ():
            if column.type_code >= FIRST_OF_USERS:
                self.casts = casts_of(connection, self.description)
                break

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
        return _callproc(self, procname, vars)

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

    def fetchone(self: Any) -> Any:
        """The next row, or None."""
        values = _fetched(self, _plain.fetchone)
        if values is not None:
            return make_rows(self, [values])[0]
        # Simpycity calls it with None, too, when there are no more rows.
        return self.callback(None) if self.callback and not is_model(self.callback) else None

    def fetchmany(self: Any, size: int | None = None) -> list[Any]:
        """The next rows, ``size`` at most; by default as many as ``arraysize`` says."""
        return make_rows(self, _fetched(self, _plain.fetchmany, size))

    def fetchall(self: Any) -> list[Any]:
        """All rows that are left."""
        return make_rows(self, _locked(self, _fetchall) if self.name else _fetchall(self))

    def scroll(self: Any, value: int, mode: str = "relative") -> None:
        """Move within the rows."""
        _fetched(self, _plain.scroll, value, mode)

    def close(self: Any) -> None:
        """Close; the ROLLBACK at the end of its scope has closed a server-side one already."""
        owner = self.owner
        if owner is None or not self.name:
            _plain.close(self)
            return
        connection = connection_of(self)
        with connection.lock:
            if connection.owner is owner:
                _plain.close(self)

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        return make_rows(self, [_fetched(self, _plain.__next__)])[0]


@corrects(TypedCursor)
class ScopedTypedCursor:
    """The methods of a cursor whose rows are single values."""

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        row = Cursor.__next__(self)
        return row[0] if row else row
