"""What is known of the server without sending it anything: is it there, does it take writes."""

import select
from time import monotonic
from typing import TYPE_CHECKING

import psycopg2

from simpycity_template.driver.disconnect import error_of, translate_error
from simpycity_template.driver.state import ACTIVE, IDLE

if TYPE_CHECKING:
    from simpycity_template.driver.transactions import Transactions


def is_alive(connection: "Transactions") -> bool:
    """Whether an idle connection can serve the next scope; nothing is sent to find out.

    Its server has to be there still, and nobody to whom it was handed out may have begun a
    transaction.
    """
    try:
        check_socket(connection)
    except psycopg2.Error:
        return False
    return not connection.handed_out or (
        not connection.closed and connection.get_transaction_status() == IDLE
    )


def check_socket(connection: "Transactions") -> None:
    """Look whether the server has gone away, or says that it will; nothing is sent.

    A socket that the server has closed is readable. So is one with a notification in it, which must
    not cost the connection: libpq reads what there is, and tells the two apart. A server that ends
    a session first says why, in a notice in its own language, and may close the socket only later.
    No other notice comes unasked.

    Raises:
        psycopg2.OperationalError: it has, or says so.
    """
    # What was there may be any object with an append(), if the application has put it there.
    before = received = connection.notices
    said: list[str] = []
    if before:
        # Together with its last answer; no notice of a statement begins so.
        said = [notice for notice in before if notice.startswith("FATAL")]
        connection.notices = received = []
    try:
        try:
            if connection.handed_out:
                # Another thread may be reading at this moment.
                while not connection.closed and _is_readable(connection.fileno()):
                    connection.poll()
            else:
                # Unlike select, this does not release the GIL.
                connection.poll()
                if connection.notifies or received:
                    # The end may be behind what was read.
                    connection.poll()
        except psycopg2.Error:
            _raise_on_notice(connection, [*said, *received])
            raise
        finally:
            if before is not received:
                connection.notices = before
                for notice in received:
                    before.append(notice)
        # Not where something else goes on, a task's time limit for example.
        if said or received:
            _raise_on_notice(connection, [*said, *received])
    except psycopg2.OperationalError as error:
        raise translate_error(connection, error) from None
    connection.looked = monotonic()


def is_read_only(connection: "Transactions") -> bool:
    """Whether the server takes no writes, as it reports by itself since version 14."""
    return "on" in (
        connection.get_parameter_status("in_hot_standby"),
        connection.get_parameter_status("default_transaction_read_only"),
    )


def _raise_on_notice(connection: "Transactions", received: list[str]) -> None:
    # With client_min_messages = debug it also says how it handles notifications.
    reasons = [notice for notice in received if not notice.startswith("DEBUG")]
    if reasons and (connection.closed or connection.get_transaction_status() != ACTIVE):
        connection.close()
        raise error_of(reasons[-1])


def _is_readable(descriptor: int) -> bool:
    """Whether there is something to read from a socket, or its other end is gone."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
