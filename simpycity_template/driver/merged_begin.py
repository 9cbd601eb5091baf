"""BEGIN in one message with the first statement of a transaction.

psycopg2 sends BEGIN alone, and waits for its answer, before the first statement: one of the three
round trips of a short request. Here both are one message. Three rules keep that safe:

- One statement goes along with BEGIN, never a text that could be several. So nothing of the
  message can last before a COMMIT, whatever happens to it on its way.
- BEGIN goes alone, and thereby tests the connection, unless the server has answered a moment ago.
- It is done only on a connection that was never handed out (``transactions.py``).
"""

import re
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.check_socket import check_socket
from simpycity_template.driver.state import IDLE, MERGED, READY

if TYPE_CHECKING:
    from simpycity_template.driver.connection import Connection

BEGIN = b"BEGIN;\n"
"""On a line of its own, so that the line which PostgreSQL quotes in an error is as written."""

ALIVE_BYPASS_WINDOW = 0.5
"""Seconds after an answer of the server in which BEGIN does not go alone to test the connection."""

LOOK_BYPASS_WINDOW = 0.001
"""Seconds after a look at the socket in which a second look would show nothing new."""

# A comment may come first, such as that of sql_comment.py; but a comment alone is no statement.
_is_statement = re.compile(rb"\s*(?:/\*[^*]*\*/\s*)?[A-Za-z]").match

# As a number, because `b";" in statement` costs many times as much.
_SEMICOLON = ord(";")

_OURS = (READY, MERGED)

_execute: Any = extensions.cursor.execute
_mogrify: Any = extensions.cursor.mogrify


def execute(connection: "Connection", cursor: Any, query: Any, vars: Any) -> None:
    """Execute a statement, together with BEGIN where it begins the transaction.

    Arguments:
        connection: whose lock this thread has.
        cursor: one of it; where BEGIN went along its ``merged`` is set.
        query, vars: as psycopg2 takes them.
    """
    if connection.handed_out or connection.state not in _OURS:
        _execute_as_psycopg2(connection, cursor, query, vars)
    elif connection.get_transaction_status() == IDLE:
        # No transaction, or one that was ended by a COMMIT or ROLLBACK written as SQL.
        connection.state = READY
        if not _execute_with_begin(connection, cursor, query, vars):
            ensure_transaction(connection)
            _execute(cursor, query, vars)
    else:
        _execute(cursor, query, vars)


def ensure_transaction(connection: "Connection") -> None:
    """Send BEGIN alone where no transaction is open and psycopg2 would not begin one."""
    connection.sync_state()
    if connection.state is READY:
        connection.run("BEGIN")
        connection.state = MERGED


def _execute_as_psycopg2(connection: "Connection", cursor: Any, query: Any, vars: Any) -> None:
    connection.sync_state()
    try:
        _execute(cursor, query, vars)
    finally:
        # At once, because who has the connection may use a cursor that nobody sees. Where the
        # connection breaks at that, the next statement gets the error.
        with suppress(psycopg2.Error):
            connection.sync_state()


def _execute_with_begin(connection: "Connection", cursor: Any, query: Any, vars: Any) -> bool:
    """Send BEGIN and the statement in one message; False where that is still to be done.

    The text may be more or less than one statement, and then nothing was sent. Or the server has
    refused the message: by itself the statement gets the same error again, but with a position that
    counts from the statement's own beginning.
    """
    now = monotonic()
    if now - connection.answered > ALIVE_BYPASS_WINDOW:
        return False
    if now - connection.looked > LOOK_BYPASS_WINDOW:
        check_socket(connection)
    statement = _mogrify(cursor, query, vars)
    # As a rule it begins with a letter; to look for that alone costs a tenth.
    if _SEMICOLON in statement or not (statement[:1].isalpha() or _is_statement(statement)):
        return False
    connection.state = MERGED
    cursor.merged = True
    try:
        _execute(cursor, BEGIN + statement)
        return True
    except psycopg2.OperationalError:
        raise
    except psycopg2.Error as error:
        # An InterfaceError is psycopg2's own, and has no position in the statement.
        if isinstance(error, psycopg2.InterfaceError) or not _was_refused(connection, error):
            raise
    cursor.merged = False
    return False


def _was_refused(connection: "Connection", error: psycopg2.Error) -> bool:
    """Whether the server refused the message with BEGIN before it executed anything.

    It parses all of a message first: after a syntax error no transaction has begun. Then it executes
    BEGIN, and looks up the names in the statement: an error with a position in the text comes from
    there, and the transaction that has begun is rolled back here. After any other error there is a
    failed transaction.
    """
    if connection.closed:
        return False
    if connection.get_transaction_status() != IDLE and error.diag.statement_position:
        connection.rollback()
    connection.sync_state()
    return connection.state is READY
