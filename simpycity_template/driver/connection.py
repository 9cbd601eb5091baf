"""A psycopg2 connection that can be pooled: how it is opened, and how it becomes as new."""

import os
import threading
from time import monotonic
from typing import Any

from simpycity_template.driver.all_connections import cancel_in_main_thread, register
from simpycity_template.driver.check_socket import is_read_only
from simpycity_template.driver.green import connect_limit, guard_wait
from simpycity_template.driver.half_made import half_made
from simpycity_template.driver.state import ACTIVE
from simpycity_template.driver.transactions import Transactions
from simpycity_template.process import interrupt


class Connection(Transactions):
    """A connection of a pool.

    Attributes:
        cancel_lock: held by whoever cancels a statement.
        cancelling: whether somebody does; then its next owner has to wait for that lock.
        tracer: the class of cursors by which an agent sees statements, or None.
        backend_pid: the server's process.
        process: which process opened it.
        was_read_only: whether its server took no writes when it was opened.
        expires, idle_since: the pool's, in seconds of the monotonic clock.
    """

    __slots__ = (
        "backend_pid",
        "cancel_lock",
        "cancelling",
        "expires",
        "idle_since",
        "process",
        "tracer",
        "was_read_only",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.tracer: Any = None
        self.idle_since = 0.0
        guard_wait()
        try:
            with half_made(args[0]), connect_limit(self, args[0]):
                super().__init__(*args, **kwargs)
                register(self)
        except BaseException:
            # Ctrl-C, or the timeout of a greenlet. Who keeps that exception keeps this half of a
            # connection, too, and the server takes it for a whole one.
            self.close()
            raise
        self.cancel_lock = threading.Lock()
        self.cancelling = False
        self.expires = self.answered = self.looked = monotonic()
        self.process = os.getpid()
        self.backend_pid = self.get_backend_pid()
        self.was_read_only = is_read_only(self)
        interrupt.listen(cancel_in_main_thread)

    # --- what the application can do with it ---

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Open a cursor; one of a foreign class may be used at any time, so psycopg2 begins."""
        factory = kwargs.get("cursor_factory") or self.cursor_factory
        if not getattr(factory, "merges_begin", False) or args or kwargs.get("name") is not None:
            self.hand_out()
        return super().cursor(*args, **kwargs)

    def close(self) -> None:
        """Close."""
        self.drop_cycles()
        super().close()

    def is_active_for(self, owner: Any) -> bool:
        """Whether a statement of ``owner`` is under way."""
        return (
            self.owner is owner
            and not self.closed
            and bool(self.get_transaction_status() == ACTIVE)
        )

    def wait_until_cancelled(self) -> None:
        """Wait for who is cancelling a statement, so that none of the next owner is hit."""
        with self.cancel_lock:
            pass

    def drop_cycles(self) -> None:
        """Drop what refers back to it, so that it is freed without the garbage collector."""
        self._cursor = self.proxy = None
