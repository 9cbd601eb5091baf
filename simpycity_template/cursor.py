"""Corrects Simpycity's cursors: iteration on Python 3.7 and later, and life beyond the scope.

A cursor that outlives its scope must not speak: by then its connection serves another scope.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import DictCursor
from simpycity.handle import Cursor, TypedCursor

from simpycity_template.corrections import corrects
from simpycity_template.last_words import raise_told
from simpycity_template.merging import BEGIN

IDLE = extensions.TRANSACTION_STATUS_IDLE

# A COMMIT written as SQL, also after other statements.
_COMMIT = re.compile(r"(?:^|;)\s*(?:commit|end)\b", re.IGNORECASE)


def _check_scope(cursor: Any) -> None:
    if getattr(cursor.connection, "holder", None) is not cursor.holder:
        raise psycopg2.InterfaceError(
            "the scope of this cursor has ended, and it has no connection any more: "
            "call the query again for a new one"
        )


_ALONE: AbstractContextManager[object] = nullcontext()


def _turn(cursor: Any) -> AbstractContextManager[object]:
    """For as long as the cursor speaks with the server."""
    return cursor.connection.turn if cursor.holder else _ALONE


def _in_scope(name: str, server_side_only: bool = False) -> Any:
    """The method ``name`` as it is, for as long as the cursor's scope lasts.

    What a client-side cursor fetched is its own, and can be read at any time.
    """
    own = getattr(Cursor, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if server_side_only and not self.name:
            return own(self, *args, **kwargs)
        _check_scope(self)
        with _turn(self):
            try:
                return own(self, *args, **kwargs)
            except psycopg2.DatabaseError as error:
                raise_told(self.connection, error)

    method.__name__, method.__doc__ = name, own.__doc__
    return method


@corrects(Cursor)
class ScopedCursor:
    """The methods of a cursor that belongs to a scope."""

    # Whether BEGIN went along with the last statement.
    merged = False

    def __init__(self: Any, *args: Any, callback: Any = None, **kwargs: Any) -> None:
        """Remember on whose behalf the cursor is opened."""
        DictCursor.__init__(self, *args, **kwargs)
        self.callback = callback
        self.holder = getattr(self.connection, "holder", None)

    def execute(self: Any, query: Any, vars: Any = None) -> None:
        """Execute, and note the statement for whoever asks what the holder is doing."""
        _check_scope(self)
        connection, holder = self.connection, self.holder
        if holder:
            holder.last_sql = query if isinstance(query, str) else repr(query)
            if holder.tag and isinstance(query, str):
                query = holder.tag + query
        if (
            connection.status == extensions.STATUS_BEGIN
            and connection.get_transaction_status() == IDLE
        ):
            # A COMMIT or ROLLBACK was written as SQL. psycopg2 believes its transaction goes on
            # and would send this statement without BEGIN: the server would commit it by itself.
            connection.rollback()
        with _turn(self):
            try:
                if not (holder and connection.can_merge() and _began_with(self, query, vars)):
                    self.merged = False
                    DictCursor.execute(self, query, vars)
            except psycopg2.DatabaseError as error:
                if holder and _COMMIT.search(holder.last_sql):
                    connection.check_outcome(error)
                raise_told(connection, error)
            finally:
                if holder and not connection.merges and not connection.closed:
                    # Beside COMMIT also BEGIN may be written as SQL.
                    state = connection.get_transaction_status()
                    connection.begun = connection.autocommit and state != IDLE

    @property
    def query(self: Any) -> bytes | None:
        """The statement that was sent last, without the BEGIN that went along with it."""
        sent: bytes | None = DictCursor.query.__get__(self)
        return sent.removeprefix(BEGIN) if sent and self.merged else sent

    callproc = _in_scope("callproc")
    copy_expert = _in_scope("copy_expert")
    copy_from = _in_scope("copy_from")
    copy_to = _in_scope("copy_to")
    executemany = _in_scope("executemany")

    fetchone = _in_scope("fetchone", server_side_only=True)
    fetchmany = _in_scope("fetchmany", server_side_only=True)
    fetchall = _in_scope("fetchall", server_side_only=True)
    scroll = _in_scope("scroll", server_side_only=True)

    def close(self: Any) -> None:
        """Close; the ROLLBACK at the end of its scope has closed a server-side one already."""
        if self.name and self.holder is not getattr(self.connection, "holder", None):
            return
        DictCursor.close(self)

    def __iter__(self: Any) -> Iterator[Any]:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        if self.name:
            _check_scope(self)
        for row in DictCursor.__iter__(self):
            yield self.callback(row) if self.callback else row


def _began_with(cursor: Any, query: Any, vars: Any) -> bool:
    """Send BEGIN and the statement in one message; False where psycopg2 has to begin.

    It has to where the server could not even parse the message: there is a transaction afterwards,
    a failed one, and the error points to its place in the statement.
    """
    connection = cursor.connection
    message = None if cursor.name else connection.begin_with(cursor.mogrify(query, vars))
    if message is None:
        return False
    cursor.merged = True
    try:
        DictCursor.execute(cursor, message)
    except psycopg2.Error as error:
        if not connection.refused() or isinstance(error, psycopg2.OperationalError):
            raise
        return False
    return True


@corrects(TypedCursor)
class ScopedTypedCursor:
    """The methods of a cursor whose rows are single values."""

    def __iter__(self: Any) -> Iterator[Any]:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        for row in Cursor.__iter__(self):
            yield row[0] if row else row
