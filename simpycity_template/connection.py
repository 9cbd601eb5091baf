"""A connection that can be pooled: made as good as new, tested, cut off from a parent process."""

import os
import socket
import weakref
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import psycopg2
from psycopg2 import errors, extensions

from simpycity_template import fork
from simpycity_template.holder import Holder
from simpycity_template.merging import MergingConnection

END_TIMEOUT = 5  # seconds; for a statement of another thread to end after it was cancelled

IDLE = extensions.TRANSACTION_STATUS_IDLE
ACTIVE = extensions.TRANSACTION_STATUS_ACTIVE


class Connection(MergingConnection):
    """A psycopg2 connection that knows its age, its process and its holder.

    Attributes:
        opened: when, in seconds of the monotonic clock.
        idle_since: when it came back, likewise.
        process: which one opened it.
        backend_pid: the server's process.
        holder: who has it now.
        begun: whether a transaction was begun by hand in autocommit mode, unknown to psycopg2.
        outcome_unknown: whether it broke during a COMMIT.
    """

    idle_since: float = 0.0
    holder: Holder | None = None
    begun = False
    outcome_unknown = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened = monotonic()
        self.process = os.getpid()
        self.backend_pid = self.get_backend_pid()
        self._encoding = self.encoding
        self._was_read_only = self._is_read_only()
        _connections.add(self)

    def commit(self) -> None:
        """Commit, also after a BEGIN by hand in autocommit mode.

        Raises:
            psycopg2.errors.TransactionResolutionUnknown: the connection broke meanwhile.
        """
        try:
            super().commit()
            if self.get_transaction_status() == extensions.TRANSACTION_STATUS_INTRANS:
                self.run("COMMIT")
        except psycopg2.DatabaseError as error:
            self.check_outcome(error)
            raise
        self.begun = False

    def rollback(self) -> None:
        """Roll back, also after a BEGIN by hand in autocommit mode."""
        super().rollback()
        if self.get_transaction_status() != IDLE:
            self.run("ROLLBACK")
        self.begun = False

    def check_outcome(self, error: psycopg2.DatabaseError) -> None:
        """After ``error`` of a COMMIT: raise another if nobody can know what became of it."""
        # An error that the server told has a code.
        if self.closed or error.pgcode is None:
            self.close()
            self.outcome_unknown = True
            raise errors.TransactionResolutionUnknown(
                "the connection broke during COMMIT: whether the transaction was committed "
                f"is unknown, and nothing was sent again ({str(error).strip()})"
            ) from error

    def clean(self, isolation_level: int | None, discard: bool) -> None:
        """Make it as good as new for the next scope: ROLLBACK, never COMMIT.

        Arguments:
            isolation_level: what to go back to; None is the server's own.
            discard: also forget all that the server keeps of a session.

        Raises:
            psycopg2.Error: it could not be done, and the connection must be ended.
        """
        if self.get_transaction_status() == ACTIVE:
            raise psycopg2.OperationalError("a statement is still under way")
        self.rollback()
        if not self.merges:
            # Somebody may have changed what a transaction is.
            self.restore(isolation_level)
        self.cursor_factory = None  # type: ignore[assignment]
        self.string_types.clear()
        self.binary_types.clear()
        if discard:
            self.autocommit = True
            self.run("DISCARD ALL")
            self.restore(isolation_level)
        self.notices = []
        self.notifies = []

    def restore(self, isolation_level: int | None) -> None:
        """Undo what a scope set of its session; nothing is sent where it set nothing."""
        autocommit = isolation_level == extensions.ISOLATION_LEVEL_AUTOCOMMIT
        if self.readonly is not None or self.deferrable is not None:
            self.set_session(readonly="default", deferrable="default")
        if self.autocommit != autocommit or (
            not autocommit and self.isolation_level != isolation_level
        ):
            self.set_isolation_level(isolation_level)
        if self.encoding != self._encoding:
            self.set_client_encoding(self._encoding)
        self.merges = isolation_level is None

    def broke_in_transaction(self) -> bool:
        """Whether it is closed, and a transaction was open when that happened."""
        # psycopg2 leaves the status where it stood when the connection broke.
        return bool(self.closed and (self.begun or self.status == extensions.STATUS_BEGIN))

    def became_read_only(self) -> bool:
        """Whether its server takes no writes any more, as it reports by itself since version 14."""
        return self._is_read_only() and not self._was_read_only

    def end(self) -> None:
        """Close it, also while another thread uses it: its statement is cancelled first.

        Without that, closing would wait for the statement however long it takes, and for ever
        where the network swallows the answer.
        """
        deadline = monotonic() + END_TIMEOUT
        with suppress(psycopg2.Error, OSError):
            while self.get_transaction_status() == ACTIVE and monotonic() < deadline:
                self.cancel()
                sleep(0.005)
        with suppress(psycopg2.Error, OSError):
            # Who still waits for an answer, or begins to at this moment, finds the end of it.
            # The goodbye to the server can be sent all the same.
            with socket.socket(fileno=os.dup(self.fileno())) as line:
                line.shutdown(socket.SHUT_RD)
        self.close()

    def _is_read_only(self) -> bool:
        return "on" in (
            self.get_parameter_status("in_hot_standby"),
            self.get_parameter_status("default_transaction_read_only"),
        )


# Every one of this process, also those that a thread has in its hands at the moment of a fork.
_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Cut a child process off its parent's sessions without a word to the server.

    Closing a connection would send the server a goodbye in the parent's name. With the null
    device in the socket's place it speaks to nobody.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for connection in list(_connections):
        if not connection.closed:
            os.dup2(null, connection.fileno())
    os.close(null)
    _connections.clear()


fork.after_in_child(_leave_to_parent)
