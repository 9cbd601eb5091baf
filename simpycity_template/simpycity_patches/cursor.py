"""Corrects Simpycity's cursors: iteration on Python 3.7 and later, and life beyond the scope.

A cursor that outlives its scope must not speak: by then its connection serves another scope.

Rows are what they always were, psycopg2's ``DictRow``. But they are made of whole tuples: where
psycopg2 makes them itself it calls a method written in Python for each value of each row.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import DictRow
from simpycity.handle import Cursor, TypedCursor

from simpycity_template.driver.disconnect import raise_told
from simpycity_template.driver.merged_begin import BEGIN
from simpycity_template.driver.sql_text import may_commit
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.from_sql import CASTERS, casts_of
from simpycity_template.simpycity_patches.pg_types import FIRST_OF_USERS
from simpycity_template.simpycity_patches.to_sql import PLAIN, all_to_sql

IDLE = extensions.TRANSACTION_STATUS_IDLE

# psycopg2's cursor beneath its DictCursor.
_plain = extensions.cursor
_init: Any = _plain.__init__
_execute: Any = _plain.execute
_fetchall: Any = _plain.fetchall

# psycopg2's own attribute, which does not show() the connection: for this package alone.
_connection: Any = _plain.connection
connection_of = _connection.__get__


def _check_scope(cursor: Any) -> None:
    if getattr(connection_of(cursor), "holder", None) is not cursor.holder:
        raise _scope_has_ended()


def _scope_has_ended() -> psycopg2.InterfaceError:
    return psycopg2.InterfaceError(
        "the scope of this cursor has ended, and it has no connection any more: "
        "call the query again for a new one"
    )


# A cursor without a holder is on a connection of no manager, which has no turn to take.
_NO_TURN: AbstractContextManager[object] = nullcontext()


def _turn(cursor: Any) -> AbstractContextManager[object]:
    """A block in which the cursor alone speaks with the server."""
    return connection_of(cursor).turn if cursor.holder else _NO_TURN


def _in_transaction(own: Any) -> Any:
    """psycopg2's method ``own``, which sends statements; BEGIN goes first where it is needed."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = connection_of(self)
        if self.holder:
            connection.ensure_transaction()
        else:
            _forget_ended(connection)
        return own(self, *args, **kwargs)

    return method


def _in_scope(name: str) -> Any:
    """psycopg2's method ``name`` as it is, for as long as the cursor's scope lasts."""
    own = getattr(_plain, name)
    in_transaction = _in_transaction(own)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _speaking(self, in_transaction, *args, **kwargs)

    method.__name__, method.__doc__ = name, own.__doc__
    return method


def _speaking(cursor: Any, own: Any, *args: Any, **kwargs: Any) -> Any:
    """Call psycopg2's method ``own``, which speaks with the server."""
    with _turn(cursor):
        _check_scope(cursor)
        try:
            return own(cursor, *args, **kwargs)
        except psycopg2.Error as error:
            _raise_told(cursor, error)


def _raise_told(cursor: Any, error: psycopg2.Error) -> NoReturn:
    connection = connection_of(cursor)
    if cursor.holder and isinstance(error, psycopg2.InterfaceError):
        # psycopg2 says of a connection that broke that the cursor is closed.
        connection.check()
    raise_told(connection, error)


def _fetched(cursor: Any, own: Any, *args: Any) -> Any:
    """Call psycopg2's method ``own``, which reads rows.

    Those of a client-side cursor are here already, and can be read after its scope as well.
    """
    return _speaking(cursor, own, *args) if cursor.name else own(cursor, *args)


def _rows(cursor: Any, fetched: Iterable[Any]) -> list[Any]:
    """What Simpycity makes of the tuples that were fetched."""
    callback, index = cursor.callback, cursor.index
    if index is None:
        # Only now known, where the cursor is a server-side one.
        index = {column.name: place for place, column in enumerate(cursor.description)}
        cursor.index = index
        if cursor.name and cursor.holder:
            cursor.casts = casts_of(connection_of(cursor), cursor.description)
    casts, rows = cursor.casts, []
    for values in fetched:
        row = _new_row(DictRow)
        row.extend(values)
        row._index = index
        if casts:
            for place, cast in casts.items():
                # Not a text: SimpleModel.register_composite() has made a model of it.
                if type(row[place]) is str:
                    row[place] = cast(row[place], cursor)
        rows.append(callback(row) if callback else row)
    return rows


# Makes a row without its __init__, which fills it with None first.
_new_row: Any = DictRow.__new__


def _was_committing(cursor: Any) -> bool:
    """Whether the connection broke after a text with a COMMIT was sent."""
    connection = connection_of(cursor)
    # Where no transaction is open, its BEGIN was never answered, so the text was never sent.
    if not connection.closed or not (connection.autocommit or connection.broke_in_transaction()):
        return False
    return may_commit(cursor.query or b"")


def was_never_sent(cursor: Any) -> bool:
    """Whether the connection broke before the last statement of ``cursor`` was sent.

    That is known of the first statement of a transaction: the status is still READY where the
    connection broke before BEGIN was sent or, where BEGIN went alone, before its answer, for which
    the statement waits. In autocommit mode there is no BEGIN, so nothing is known.
    """
    connection = connection_of(cursor)
    if not connection.closed:
        return False
    return not connection.autocommit and connection.status == extensions.STATUS_READY


_callproc = _in_scope("callproc")
_executemany = _in_scope("executemany")
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

    def __init__(self: Any, connection: Any, name: Any = None, callback: Any = None) -> None:
        """Remember on whose behalf the cursor is opened."""
        _init(self, connection, name)
        if callback:
            self.callback = callback
        self.holder = getattr(connection, "holder", None)
        if self.holder is not None:
            ours, chosen = CASTERS, connection.string_types
            # What the application has chosen for the connection goes before what is ours.
            self.string_types = {**ours, **chosen} if chosen else ours

    def execute(self: Any, query: Any, vars: Any = None) -> None:
        """Execute, and note the statement for whoever asks what the holder is doing."""
        connection, holder = connection_of(self), self.holder
        self.index = None
        self.merged = False
        if holder is None:
            return _speaking(self, _in_transaction(_execute), query, vars)
        holder.last_sql = query if isinstance(query, str) else repr(query)
        if holder.tag and isinstance(query, str):
            query = holder.tag + query
        if vars:
            for value in vars:
                if type(value) not in PLAIN or type(vars) is dict:
                    vars = all_to_sql(vars)
                    break
        with connection.turn:
            # Only now: who had the turn before may have ended the scope.
            if connection.holder is not holder:
                raise _scope_has_ended()
            try:
                connection.execute_on(self, query, vars)
            except BaseException as error:
                if _was_committing(self):
                    connection.check_outcome(error)
                if isinstance(error, psycopg2.Error):
                    _raise_told(self, error)
                raise
            finally:
                if connection.shown or not connection.merges:
                    connection.note_transaction()
        self.casts = None
        for column in self.description or ():
            if column.type_code >= FIRST_OF_USERS:
                self.casts = casts_of(connection, self.description)
                break

    @property
    def connection(self: Any) -> Any:
        """The psycopg2 connection."""
        connection = connection_of(self)
        return connection.show() if self.holder else connection

    @property
    def query(self: Any) -> bytes | None:
        """The statement that was sent last, without the BEGIN that went along with it."""
        sent: bytes | None = _plain.query.__get__(self)
        return sent.removeprefix(BEGIN) if sent and self.merged else sent

    def callproc(self: Any, procname: str, vars: Any = None) -> Any:
        """Call a function of the server."""
        self.index = None
        return _callproc(self, procname, vars)

    def mogrify(self: Any, query: Any, vars: Any = None) -> bytes:
        """The statement as it would be sent."""
        sent: bytes = _mogrify(self, query, all_to_sql(vars) if vars and self.holder else vars)
        return sent

    def executemany(self: Any, query: Any, vars_list: Any) -> None:
        """Execute a statement for each of the arguments."""
        _executemany(
            self, query, [all_to_sql(one) for one in vars_list] if self.holder else vars_list
        )

    copy_expert = _in_scope("copy_expert")
    copy_from = _in_scope("copy_from")
    copy_to = _in_scope("copy_to")

    def fetchone(self: Any) -> Any:
        """The next row, or None."""
        values = _fetched(self, _plain.fetchone)
        if values is not None:
            return _rows(self, [values])[0]
        # Simpycity calls it with None, too, when there are no more rows.
        return self.callback(None) if self.callback else None

    def fetchmany(self: Any, size: int | None = None) -> list[Any]:
        """The next rows, ``size`` at most; by default as many as ``arraysize`` says."""
        return _rows(self, _fetched(self, _plain.fetchmany, size))

    def fetchall(self: Any) -> list[Any]:
        """All rows that are left."""
        return _rows(self, _speaking(self, _fetchall) if self.name else _fetchall(self))

    def scroll(self: Any, value: int, mode: str = "relative") -> None:
        """Move within the rows."""
        _fetched(self, _plain.scroll, value, mode)

    def close(self: Any) -> None:
        """Close; the ROLLBACK at the end of its scope has closed a server-side one already."""
        with _turn(self):
            if self.name and self.holder is not getattr(connection_of(self), "holder", None):
                return
            _plain.close(self)

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        return _rows(self, [_fetched(self, _plain.__next__)])[0]


def _forget_ended(connection: Any) -> None:
    """End a transaction that was ended by a COMMIT or ROLLBACK written as SQL.

    psycopg2 believes that it goes on and would send the next statement without BEGIN: the server
    would commit it by itself.
    """
    if connection.status == extensions.STATUS_BEGIN and connection.get_transaction_status() == IDLE:
        connection.rollback()


@corrects(TypedCursor)
class ScopedTypedCursor:
    """The methods of a cursor whose rows are single values."""

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        row = Cursor.__next__(self)
        return row[0] if row else row
