"""Why the server ended a session, as an error of the class that belongs to it.

libpq reads the server's reason and then finds the socket closed; since its version 14 psycopg2 gets
only the latter. What libpq keeps of the reason is the text, without its code. So the error gets its
own class where the server writes English; in any language it has the server's message. A reason that
came together with the answer before it is a notice for libpq, among others: it is known in English
only.
"""

from typing import Any, NoReturn

import psycopg2
from psycopg2 import errors

_CODES = {
    "terminating connection due to administrator command": "57P01",
    "terminating connection due to idle-session timeout": "57P05",
    "terminating connection due to idle-in-transaction timeout": "25P03",
    "terminating connection due to transaction timeout": "25P04",
}


def translate_error(connection: Any, error: psycopg2.Error) -> psycopg2.Error:
    """The server's reason for ending the session, if ``error`` lacks it; or else ``error``."""
    if not connection.closed or error.pgcode is not None:
        return error
    message = connection.info.error_message or ""
    if not message.endswith(str(error)):
        return error
    if _code_in(message) is None:
        message = next(filter(_code_in, reversed([*connection.notices])), "") + message
    return error_of(message, type(error))


def error_of(
    message: str, otherwise: type[psycopg2.Error] = psycopg2.OperationalError
) -> psycopg2.Error:
    """A message of the server as the error that it is, or as one of the class ``otherwise``."""
    code = _code_in(message)
    cause: Any = errors.lookup(code) if code else otherwise
    error: psycopg2.Error = cause(message)
    # As psycopg2 itself fills an error that comes from another process.
    error.__setstate__({"pgcode": code, "pgerror": message})
    return error


def _code_in(message: str) -> str | None:
    """The code of the reason that a message of the server is or begins with."""
    return next((code for text, code in _CODES.items() if text in message), None)


def raise_translated(connection: Any, error: psycopg2.Error) -> NoReturn:
    """Raise ``error``, or in its place the reason why the session or the statement was ended."""
    if (
        isinstance(error, errors.ReadOnlySqlTransaction)
        and connection.get_parameter_status("default_transaction_read_only") == "on"
    ):
        # Its database may take writes again: only sessions that begin from then on know.
        connection.expires = 0.0
    owner = connection.owner
    if owner is not None and owner.deadlock and isinstance(error, errors.QueryCanceled):
        deadlock = errors.DeadlockDetected(owner.deadlock)
        deadlock.__setstate__({"pgcode": "40P01", "pgerror": str(deadlock)})
        raise deadlock from None
    raise translate_error(connection, error) from None
