"""What the server said before it ended a session, as the error that it is.

libpq hears the reason and then that the connection was closed; since its version 14 psycopg2 is
told only the latter. What libpq keeps of the former is the text, and no code. So the error gets its
own class where the server speaks English; in any language it gets the server's message.
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


def told(connection: Any, error: psycopg2.Error) -> psycopg2.Error:
    """What ended the session of ``connection``, if ``error`` does not say it; or else ``error``."""
    if not connection.closed or error.pgcode is not None:
        return error
    heard = connection.info.error_message or ""
    return as_error(heard, type(error)) if heard.endswith(str(error)) else error


def as_error(
    heard: str, otherwise: type[psycopg2.Error] = psycopg2.OperationalError
) -> psycopg2.Error:
    """What the server said, as the error that it is, or as one of the class ``otherwise``."""
    code = next((code for text, code in _CODES.items() if text in heard), None)
    cause: Any = errors.lookup(code) if code else otherwise
    said: psycopg2.Error = cause(heard)
    # As psycopg2 itself fills an error that comes from another process.
    said.__setstate__({"pgcode": code, "pgerror": heard})
    return said


def raise_told(connection: Any, error: psycopg2.Error) -> NoReturn:
    """Raise ``error``, or what ended the session of ``connection`` in its place."""
    raise told(connection, error) from None
