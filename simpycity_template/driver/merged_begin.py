"""A psycopg2 connection whose BEGIN travels with the first statement of the transaction.

psycopg2 sends BEGIN alone, and waits for its answer, before the first statement: one of the three
round trips of a short request. Here both are one message. For that psycopg2 is in autocommit
mode, and what the connection shows to others is as if psycopg2 had begun. Three rules keep that
safe:

- One statement goes along with BEGIN, never a text that could be several. So nothing of the
  message can last before a COMMIT, whatever happens to it on its way.
- BEGIN goes alone, and thereby tests the connection, unless the server has answered a moment ago.
- What psycopg2 does by what it believes of the transaction (server-side cursors, large objects,
  session settings, two-phase commit) finds a transaction that psycopg2 knows.

Between transactions psycopg2 stays in autocommit mode, because each change of the mode releases
the GIL. That is safe only while nobody but this package has the connection. An application
that was *shown* it, as ``handle.conn`` for example, may have made plain psycopg2 cursors, and may
use them at any time: for these psycopg2 itself has to send BEGIN. So between the transactions of a
connection that was shown, psycopg2 is not in autocommit mode.
"""

import re
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.disconnect import as_error, raise_told

BEGIN = b"BEGIN;\n"
"""On a line of its own, so that the line which PostgreSQL quotes in an error is as written."""

FRESH = 0.5
"""Seconds after an answer of the server in which the connection is taken to work."""

JUST_NOW = 0.001
"""Seconds after a look at the socket in which a second look would show nothing new."""

# A comment may come first, such as that of tag.py; but a comment alone is no statement.
_is_statement = re.compile(rb"\s*(?:/\*[^*]*\*/\s*)?[A-Za-z]").match

# As a number, because `b";" in statement` costs many times as much.
_SEMICOLON = ord(";")

_READY = extensions.STATUS_READY
_BEGIN = extensions.STATUS_BEGIN
_IDLE = extensions.TRANSACTION_STATUS_IDLE
_IN_TRANSACTION = extensions.TRANSACTION_STATUS_INTRANS

# psycopg2's own attributes; those of MergingConnection are as if psycopg2 had begun.
_autocommit: Any = extensions.connection.autocommit
_autocommit_of, _set_autocommit = _autocommit.__get__, _autocommit.__set__
_status_of: Any = extensions.connection.status.__get__

_execute: Any = extensions.cursor.execute
_mogrify: Any = extensions.cursor.mogrify


def _after(prepare: Callable[[Any, str], None], name: str) -> Any:
    """psycopg2's own method or attribute ``name``; ``prepare`` goes before each call or setting."""
    own: Any = getattr(extensions.connection, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.turn:
            prepare(self, name)
            return own(self, *args, **kwargs)

    def setter(self: Any, value: Any) -> None:
        with self.turn:
            prepare(self, name)
            own.__set__(self, value)

    if not callable(own):
        return property(own.__get__, setter, doc=own.__doc__)
    method.__name__, method.__doc__ = name, own.__doc__
    return method


class MergingConnection(extensions.connection):
    """A psycopg2 connection that can send BEGIN together with a statement.

    Attributes:
        merges: whether it may: not before it is told so, nor after anybody has changed how its
            transactions begin.
        merged: whether a transaction is open that psycopg2 did not begin, or was when the
            connection broke.
        begun: whether one was begun by hand in autocommit mode, unknown to psycopg2 as well.
        shown: whether anybody but this package may have the connection.
        turn: a lock, held by whoever speaks with the server.
    """

    # As psycopg2's own connection, it takes no other attributes. These are looked up often.
    __slots__ = (
        "_answered",
        "_cursor",
        "_looked",
        "_poll",
        "begun",
        "merged",
        "merges",
        "shown",
        "turn",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.merges = self.merged = self.begun = self.shown = False
        super().__init__(*args, **kwargs)
        # psycopg2 has a lock too, but nobody can wait for that with a timeout.
        self.turn = threading.RLock()
        self._cursor: Any = None
        self._answered = self._looked = monotonic()
        self._poll = _poll(self.fileno())

    def merge(self) -> None:
        """Send BEGIN together with a statement from now on."""
        self.merges = True
        _set_autocommit(self, not self.shown)

    def show(self) -> "MergingConnection":
        """Return itself, fit to be given to the application, which may keep it for ever."""
        if not self.shown:
            with self.turn:
                self.shown = True
                if self.merges and not self.in_transaction() and not self.closed:
                    _set_autocommit(self, False)
        return self

    def hide(self) -> None:
        """Undo ``show()``, where the caller knows that nobody kept the connection.

        Nothing happens while a transaction is open that psycopg2 began.
        """
        if not self.closed and _status_of(self) == _READY:
            self.shown = False
            if self.merges:
                _set_autocommit(self, True)

    def in_transaction(self) -> bool:
        """Whether a transaction is open, but for one that was begun by hand in autocommit mode.

        One that was ended by a COMMIT or ROLLBACK written as SQL is forgotten here. psycopg2
        believes that it goes on and would send the next statement without BEGIN: the server would
        commit it by itself.
        """
        if not self.merged and _status_of(self) != _BEGIN:
            return False
        if self.get_transaction_status() == _IDLE and not self.closed:
            self.rollback()
            return False
        return True

    def ensure_transaction(self) -> None:
        """Send BEGIN alone where no transaction is open and psycopg2 would not begin one."""
        if not self.in_transaction() and self.merges and not self.shown:
            self.run("BEGIN")
            self.merged = True

    def note_transaction(self) -> None:
        """Take note of a BEGIN, COMMIT or ROLLBACK that was written as SQL.

        At once, because whoever was shown the connection may use a cursor that nobody sees.
        """
        if not self.closed:
            self.begun = self.autocommit and self.get_transaction_status() != _IDLE
            # Where it breaks at that, the next statement tells.
            with suppress(psycopg2.Error):
                self.in_transaction()

    def execute_on(self, cursor: Any, query: Any, vars: Any) -> None:
        """Execute a statement, together with BEGIN where it begins the transaction.

        Arguments:
            cursor: one of this connection; where BEGIN went along its ``merged`` is set.
            query, vars: as psycopg2 takes them.
        """
        if not self.in_transaction() and self.merges:
            if self._is_fresh() and self._began_with(cursor, _mogrify(cursor, query, vars)):
                return
            self.ensure_transaction()
        _execute(cursor, query, vars)

    def _began_with(self, cursor: Any, statement: bytes) -> bool:
        """Send BEGIN and the statement in one message; False where that is still to be done.

        The text may be more or less than one statement, and then nothing was sent. Or the server
        has refused the message: by itself the statement gets the same error again, but with a place
        that counts from the statement's own beginning.
        """
        if _SEMICOLON in statement or not _is_statement(statement):
            return False
        if self.shown:
            _set_autocommit(self, True)
        self.merged = cursor.merged = True
        try:
            _execute(cursor, BEGIN + statement)
            return True
        except psycopg2.OperationalError:
            raise
        except psycopg2.Error as error:
            # An InterfaceError is psycopg2's own, and has no place in the statement.
            if not self._refused(error) or isinstance(error, psycopg2.InterfaceError):
                raise
        cursor.merged = False
        return False

    def _is_fresh(self) -> bool:
        """Whether the server has answered a moment ago.

        Raises:
            psycopg2.OperationalError: it has gone away meanwhile; nothing was sent.
        """
        now = monotonic()
        if now - self._answered > FRESH:
            return False
        if now - self._looked > JUST_NOW:
            self._look()
        return True

    def _refused(self, error: psycopg2.Error) -> bool:
        """Whether the server refused the message with BEGIN before it executed anything.

        It parses all of a message first: after a syntax error no transaction has begun. Then it
        executes BEGIN, and looks up the names in the statement: an error with a place in the text
        comes from there, and the transaction that has begun is rolled back here. After any other
        error there is a failed transaction.
        """
        if self.closed:
            return False
        if self.get_transaction_status() == _IDLE:
            self._ended()
        elif error.diag.statement_position:
            self.rollback()
        return not self.merged

    def is_alive(self) -> bool:
        """Whether an idle connection can serve the next scope; nothing is sent to find out.

        Its server has to be there still, and nobody who was shown it may have begun a transaction.
        """
        try:
            with self.turn:
                self._look()
        except psycopg2.Error:
            return False
        if self.shown and self.get_transaction_status() != _IDLE:
            return False
        return not self.closed

    def commit(self) -> None:
        """Commit."""
        with self.turn:
            if not self.merged:
                return self._end(super().commit)
            try:
                if self.get_transaction_status() != _IDLE:
                    self._send("COMMIT")
            finally:
                # As psycopg2 does: also where it failed, no transaction is left.
                self._ended()

    def rollback(self) -> None:
        """Roll back, also what was begun by hand in autocommit mode."""
        with self.turn:
            if not self.merged and _status_of(self) != _READY:
                self._end(super().rollback)
            if self.get_transaction_status() != _IDLE:
                self._send("ROLLBACK")
            if self.merged:
                self._ended()
            self.begun = False

    def close(self) -> None:
        """Close."""
        self.let_go()
        super().close()

    def let_go(self) -> None:
        """Refer to itself no more, so that it can be freed without the garbage collector."""
        self._cursor = None

    def run(self, sql: str) -> None:
        """Execute a statement that returns nothing."""
        with self.turn:
            self._send(sql)

    def cursor(self, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Open a cursor, a server-side one where it has a name."""
        self.show()
        if name is not None:
            self._hand_over("cursor")
        return super().cursor(name, *args, **kwargs)

    @property
    def status(self) -> int:
        """One of psycopg2's ``STATUS_*``."""
        return _BEGIN if self.merged else _status_of(self)

    @property
    def autocommit(self) -> bool:
        """Whether each statement is committed by itself."""
        return not self.merges and not self.merged and _autocommit_of(self)

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._refuse_inside("autocommit")
        _set_autocommit(self, value)

    def _refuse_inside(self, name: str) -> None:
        # Inside one that psycopg2 began it refuses by itself.
        if self.in_transaction() and self.merged:
            raise psycopg2.ProgrammingError(f"{name} cannot be used inside a transaction")
        self._let_psycopg2_begin()

    def _roll_back(self, name: str) -> None:
        if self.merged:
            self.rollback()
        self._let_psycopg2_begin()

    def _hand_over(self, name: str) -> None:
        """Make the open transaction psycopg2's own, and let psycopg2 begin those to come.

        For that psycopg2 has to send its BEGIN, which the server answers with a warning only.
        """
        merged = self.in_transaction() and self.merged
        if merged and self.get_transaction_status() == _IN_TRANSACTION:
            _set_autocommit(self, False)
            notices, self.notices = self.notices, []
            try:
                self.run("SELECT 1")
            finally:
                self.notices = notices
                # Where the connection broke at that, psycopg2 does not know of the transaction.
                self.merged = bool(self.closed)
        self._let_psycopg2_begin()

    def _let_psycopg2_begin(self) -> None:
        if self.merges:
            self.merges = False
            # Where it has begun already it refuses a change, and needs none.
            if not self.merged and not self.closed and _status_of(self) == _READY:
                _set_autocommit(self, False)

    set_session = _after(_refuse_inside, "set_session")
    isolation_level = _after(_refuse_inside, "isolation_level")
    readonly = _after(_refuse_inside, "readonly")
    deferrable = _after(_refuse_inside, "deferrable")
    tpc_begin = _after(_refuse_inside, "tpc_begin")

    # psycopg2 rolls back before these.
    set_isolation_level = _after(_roll_back, "set_isolation_level")
    set_client_encoding = _after(_roll_back, "set_client_encoding")
    reset = _after(_roll_back, "reset")

    lobject = _after(_hand_over, "lobject")
    __enter__ = _after(_hand_over, "__enter__")

    def _end(self, end: Callable[[], None]) -> None:
        begun = _status_of(self) == _BEGIN
        end()
        if begun:
            self._answered = monotonic()

    def _send(self, sql: str) -> None:
        cursor = self._cursor
        if cursor is None or self.closed:
            cursor = self._cursor = extensions.cursor(self)
        try:
            cursor.execute(sql)
        except psycopg2.DatabaseError as error:
            raise_told(self, error)
        self._answered = monotonic()

    def _ended(self) -> None:
        self.merged = False
        if not self.closed and (self.shown or not self.merges):
            _set_autocommit(self, False)

    def _look(self) -> None:
        """Look whether the server has gone away, or says that it will; nothing is sent.

        A socket that the server has closed is readable. So is one with a notification in it, which
        must not cost the connection: libpq reads what there is, and tells the two apart. A server
        that ends a session first says why, in a notice in its own language, and may close the
        socket only later. No other notice comes unasked.

        Raises:
            psycopg2.OperationalError: it has, or says so.
        """
        # What was there may be any object with an append(), if the application has put it there.
        notices, self.notices = self.notices, []
        try:
            if self.shown:
                # Somebody may be reading at this moment, in another thread.
                while not self.closed and self._poll():
                    self.poll()
            else:
                # The second finds the end behind what the first has read. Unlike select, neither
                # releases the GIL.
                self.poll()
                self.poll()
        finally:
            heard, self.notices = self.notices, notices
            if heard:
                self._hear(heard)
        self._looked = monotonic()

    def _hear(self, heard: list[str]) -> None:
        for notice in heard:
            self.notices.append(notice)
        # With client_min_messages = debug it also says how it handles notifications.
        said = [notice for notice in heard if not notice.startswith("DEBUG")]
        if said and (self.closed or self.get_transaction_status() == _IDLE):
            self.close()
            raise as_error(said[-1])


if hasattr(select, "poll"):

    def _poll(descriptor: int) -> Callable[[], object]:
        """A function that tells whether a socket is readable, or its other end gone."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return partial(poll.poll, 0)

else:

    def _poll(descriptor: int) -> Callable[[], object]:
        """A function that tells whether a socket is readable, or its other end gone."""
        return lambda: select.select([descriptor], [], [], 0)[0]
