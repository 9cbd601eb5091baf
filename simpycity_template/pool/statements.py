"""The events of what happens inside a scope: that a transaction begins, and each statement.

A connection refers to this only while somebody listens, so a statement costs nothing else.
"""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from simpycity_template.driver.commit_outcome import commits_each_statement
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.driver.state import IDLE
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
        """Begin a transaction where none is open, and let listeners prepare it.

        Raises:
            Exception: what a listener raises; the transaction is rolled back.
        """
        if not self._events.listens_to("begin") or connection.get_transaction_status() != IDLE:
            return
        if commits_each_statement(connection):
            # In autocommit mode none begins.
            return
        ensure_transaction(connection)
        try:
            self._events.tell("begin", owner, connection)
        except BaseException:
            connection.rollback()
            raise

    def execute(
        self, owner: Owner, connection: Connection, cursor: Any, query: Any, send: Callable[[], Any]
    ) -> None:
        """Send a statement, and tell listeners of it.

        Arguments:
            owner, connection: whose.
            cursor: that has the result.
            query: as the application wrote it.
            send: sends it.
        """
        self.begin(owner, connection)
        if not self._events.listens_to("statement"):
            send()
            return
        began = monotonic()
        error = None
        try:
            send()
        except BaseException as raised:
            error = raised
            raise
        finally:
            text = query if isinstance(query, str) else repr(query)
            rows = cursor.rowcount if error is None else -1
            self._events.told_of(owner, monotonic() - began, text, rows, error)
