"""Calls the listeners to what happens inside a scope: ``begin`` and ``statement``.

A connection refers to this only while somebody listens, so without a listener a statement costs no
more.
"""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from simpycity_template.driver.commit_outcome import commits_each_statement
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.driver.state import IDLE
from simpycity_template.pool.lost_writes import flushing
from simpycity_template.pool.owner import Owner

if TYPE_CHECKING:
    from simpycity_template.pool.events import Events


class Statements:
    """Calls the listeners of ``begin`` and ``statement``."""

    def __init__(self, events: "Events") -> None:
        """
        Arguments:
            events: whose listeners are called.
        """
        self._events = events

    def begin(self, owner: Owner, connection: Connection) -> None:
        """Let listeners prepare the transaction that a statement belongs to; once for each.

        It may be open already, begun by a ``checkout`` listener or by a cursor of psycopg2's own.

        Raises:
            Exception: what a listener raises; the transaction is rolled back.
        """
        if self._events.lost_writes is not None:
            self._events.lost_writes.note(connection)
        if not self._events.listens_to("begin"):
            return
        if connection.get_transaction_status() == IDLE:
            # The one before may have been ended by a COMMIT or ROLLBACK written as SQL.
            connection.begin_fired = False
        if connection.begin_fired or commits_each_statement(connection):
            # In autocommit mode none begins.
            return
        ensure_transaction(connection)
        connection.begin_fired = True
        self._events.prepare("begin", owner, connection)

    def execute(
        self, owner: Owner, connection: Connection, cursor: Any, send: Callable[[], Any]
    ) -> Any:
        """Send the last statement of ``owner``, and call the listeners of it.

        Arguments:
            owner: whose statement it is.
            connection: of the owner.
            cursor: the one that has the result.
            send: a function that sends the statement.

        Returns:
            what ``send`` returns.
        """
        self.begin(owner, connection)
        if not self._events.listens_to("statement"):
            return send()
        began = monotonic()
        error = None
        try:
            return send()
        except BaseException as raised:
            error = raised
            raise
        finally:
            rows = cursor.rowcount if error is None else -1
            self._events.executed(owner, monotonic() - began, rows, error)

    def commit(self, connection: Connection) -> str:
        """What ends a transaction that is committed."""
        return "COMMIT" if self._events.lost_writes is None else flushing(connection, "COMMIT")
