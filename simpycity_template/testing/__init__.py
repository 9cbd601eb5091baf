"""A transaction per test, and a database per worker of ``pytest -n``.

Whatever a test and the requests it makes write is rolled back at its end, also what they committed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from simpycity_template.manager import Manager
from simpycity_template.testing.transaction_pool import TransactionPool
from simpycity_template.testing.worker_database import use_database_of_worker

__all__ = ["TransactionPerTest", "rolled_back", "use_database_of_worker"]


@contextmanager
def rolled_back(manager: Manager) -> Iterator[None]:
    """A block in which all scopes share one connection, whose transaction is rolled back.

    ``commit()`` keeps what was written until the block ends; ``rollback()`` and the end of a scope
    undo what was written since. Threads use the connection one after the other, scope by scope.

    Arguments:
        manager: whose connection it is. What it has open in this thread is given back first.

    Raises:
        RuntimeError: the manager has no settings yet.
        psycopg2.OperationalError: the server cannot be reached.
    """
    manager.cleanup()
    pool = TransactionPool.of(manager)
    before = manager.current.pool
    try:
        manager.current.pool = pool
        yield
    finally:
        # Each twice, because a time limit may interrupt the first before it has begun.
        try:
            manager.cleanup()
        finally:
            manager.current.pool = before
            try:
                pool.close()
            finally:
                pool.close()
                manager.cleanup()


class TransactionPerTest:
    """A mixin for ``unittest.TestCase``: each test runs in ``rolled_back(manager)``.

    It stands before ``TestCase`` among the bases. The manager has to be configured when its
    ``setUp()`` is called.

    Attributes:
        manager: whose connection it is; set it in the class.
    """

    manager: Manager

    def setUp(self) -> None:
        """Begin the transaction, which ends after ``tearDown()``."""
        super().setUp()  # type: ignore[misc]
        stack = ExitStack()
        stack.enter_context(rolled_back(self.manager))
        cleanup: Any = self
        cleanup.addCleanup(stack.close)
