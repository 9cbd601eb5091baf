"""A pool that hands one connection to everybody, in one transaction that is never committed."""

import threading
from time import monotonic
from typing import TYPE_CHECKING

from simpycity_template.driver.connection import Connection
from simpycity_template.driver.terminate import terminate
from simpycity_template.driver.traced_cursor import connect_traced
from simpycity_template.pool.owner import Owner
from simpycity_template.pool.pool import Pool
from simpycity_template.testing.shared_connection import SharedConnection

if TYPE_CHECKING:
    from simpycity_template.manager import Manager


class TransactionPool(Pool):
    """One connection for each database that its owners name."""

    @classmethod
    def of(cls, manager: "Manager") -> "TransactionPool":
        """One for the database of a manager, with its listeners."""
        return manager.current.make(cls)

    def _start(self) -> None:
        super()._start()
        self._shared: dict[str | None, SharedConnection] = {}
        self._home = threading.current_thread()

    def acquire(self, owner: Owner) -> Connection:
        """Give ``owner`` the connection, as soon as no other thread has it.

        Raises:
            PoolTimeout: another thread had it for ``pool_timeout`` seconds.
            psycopg2.OperationalError: the server cannot be reached.
        """
        with self._lock:
            connection = self._shared.get(owner.dsn)
            if connection is None or connection.closed:
                connection = self._shared[owner.dsn] = self._open_shared(owner)
        connection.enter(owner)
        owner.since = monotonic()
        owner.connection = connection
        connection.statements = self._events.statements
        self._owners.add(owner)
        self._events.fire("checkout", owner, connection=connection)
        return connection

    def _open_shared(self, owner: Owner) -> SharedConnection:
        connection = connect_traced(self._connect, owner.dsn, SharedConnection, self.name)
        self._events.fire("connect", owner, connection=connection)
        connection.share(self.name, self.settings.pool_timeout, self._home)
        return connection

    def _reset(self, owner: Owner, connection: Connection, again: bool) -> None:
        """Undo what ``owner`` wrote and did not commit."""
        assert isinstance(connection, SharedConnection)
        connection.leave(owner)

    def _drain(self, owner: Owner | None = None) -> None:
        """Take it back."""
        if owner is not None:
            self._owners.discard(owner)
            owner.connection = None

    def close(self) -> None:
        """Roll everything back, and close the connection."""
        self._closed = True
        for connection in self._shared.values():
            terminate(connection)
