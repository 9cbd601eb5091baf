"""What is known of a transaction whose connection broke: before, during or without a COMMIT."""

from typing import TYPE_CHECKING, Any, NoReturn

import psycopg2
from psycopg2 import errors, extensions

from simpycity_template.driver.check_socket import check_socket
from simpycity_template.driver.disconnect import translate_error
from simpycity_template.driver.sql_text import may_commit
from simpycity_template.driver.state import BY_HAND, MERGED, PSYCOPG2, UNKNOWN
from simpycity_template.errors import TransactionLost

if TYPE_CHECKING:
    from simpycity_template.driver.transactions import Transactions

# With these psycopg2 itself refuses a call, and nothing was sent.
_REFUSED = psycopg2.ProgrammingError, psycopg2.NotSupportedError

_LOST = (
    "the connection broke inside a transaction and all of that transaction is gone: "
    "call rollback() or cleanup(), then begin again"
)


def check_before_end(connection: "Transactions") -> None:
    """Look whether the server is still there, before a COMMIT is sent or psycopg2 takes over.

    The server may have ended the session since the last statement. If that is found before COMMIT is
    sent, nothing was committed; if COMMIT gets no answer, nobody knows what happened.

    Raises:
        TransactionLost: the server has ended the session.
    """
    if connection.closed:
        raise_if_lost(connection)
    try:
        check_socket(connection)
    except psycopg2.DatabaseError as error:
        connection.close()
        raise_lost(error)


def check_after_commit(connection: "Transactions", error: BaseException) -> None:
    """Raise another error where a COMMIT failed with ``error`` and nobody can know its outcome.

    An exception that is not psycopg2's, as a greenlet's timeout, is left to the caller, who raises it
    again; later statements get ``TransactionLost``.

    Raises:
        psycopg2.errors.TransactionResolutionUnknown: the connection broke meanwhile.
    """
    if not isinstance(error, psycopg2.Error):
        # psycopg2 has closed the connection where the answer was still to come.
        if connection.closed:
            connection.state = UNKNOWN
    elif isinstance(error, psycopg2.DatabaseError) and not isinstance(error, _REFUSED):
        # An error that the server has sent has a code, and leaves nothing unknown.
        if connection.closed or error.pgcode is None:
            error = translate_error(connection, error)
            connection.close()
            connection.state = UNKNOWN
            raise errors.TransactionResolutionUnknown(
                "the connection broke during COMMIT: whether the transaction was committed "
                f"is unknown, and nothing was sent again ({str(error).strip()})"
            ) from error


def check_after_statement(connection: "Transactions", sent: bytes | None, error: Any) -> None:
    """As ``check_after_commit()``, where the statement ``sent`` has a COMMIT in it.

    Raises:
        psycopg2.errors.TransactionResolutionUnknown: the connection broke meanwhile.
    """
    # Where no transaction is open, its BEGIN was never answered, so the text was never sent.
    if connection.closed and (
        commits_each_statement(connection) or broke_in_transaction(connection)
    ):
        # libpq keeps what the server said of it, also when the connection is gone.
        standard = connection.info.parameter_status("standard_conforming_strings") != "off"
        if may_commit(sent or b"", standard):
            check_after_commit(connection, error)


def raise_lost(error: psycopg2.Error) -> NoReturn:
    """Raise ``TransactionLost`` because of ``error``, with which the connection broke."""
    raise TransactionLost(f"{_LOST} ({str(error).strip()})") from error


def raise_if_lost(connection: "Transactions") -> None:
    """Raise an error where the connection broke inside a transaction.

    Raises:
        TransactionLost: it did.
    """
    if connection.state is UNKNOWN:
        raise TransactionLost(
            "the connection broke during COMMIT, so nothing more can belong to that "
            "transaction: call rollback() or cleanup(), then find out whether it was committed"
        )
    if broke_in_transaction(connection):
        raise TransactionLost(_LOST)


def broke_in_transaction(connection: "Transactions") -> bool:
    """Whether it is closed, and a transaction was open when that happened."""
    # psycopg2 leaves the status where it stood when the connection broke.
    return bool(connection.closed) and (
        connection.state in (MERGED, BY_HAND, UNKNOWN)
        or connection.status == extensions.STATUS_BEGIN
    )


def was_never_sent(connection: "Transactions") -> bool:
    """Whether the connection broke before the last statement was sent.

    That is known of the first statement of a transaction: none is open where the connection broke
    before BEGIN was sent or, where BEGIN went alone, before its answer, for which the statement
    waits. In autocommit mode there is no BEGIN, so nothing is known.
    """
    return bool(
        connection.closed
        and not broke_in_transaction(connection)
        and not commits_each_statement(connection)
    )


def commits_each_statement(connection: "Transactions") -> bool:
    """Whether the application has it in autocommit mode."""
    return connection.state in (PSYCOPG2, BY_HAND) and connection.autocommit
