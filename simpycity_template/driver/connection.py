"""A connection that can be pooled: made as good as new, tested, cut off from a parent process."""

import os
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

import psycopg2
from psycopg2 import errors, extensions

from simpycity_template.driver.disconnect import told
from simpycity_template.driver.merged_begin import MergingConnection
from simpycity_template.errors import TransactionLost
from simpycity_template.pool.owner import Holder
from simpycity_template.process import fork, interrupt
from simpycity_template.settings import Settings

END_TIMEOUT = 5  # seconds; for the statements of other threads to end after they were cancelled
COPY_TIMEOUT = 0.3  # seconds of these; for a COPY, which may not end though it was cancelled
PAUSE = 0.02  # seconds; between cancelling a statement and cancelling it again

ACTIVE = extensions.TRANSACTION_STATUS_ACTIVE

# With these psycopg2 itself refuses a call, and nothing was sent.
_REFUSED = psycopg2.ProgrammingError, psycopg2.NotSupportedError


def _with_outcome(name: str) -> Any:
    """psycopg2's method ``name``, which is a kind of COMMIT."""
    own = getattr(MergingConnection, name)

    def method(self: Any, *args: Any) -> None:
        with self.turn:
            try:
                own(self, *args)
            except BaseException as error:
                self.check_outcome(error)
                raise

    method.__name__, method.__doc__ = name, own.__doc__
    return method


class Connection(MergingConnection):
    """A psycopg2 connection that knows its age, its process and its holder.

    Attributes:
        opened: when, in seconds of the monotonic clock.
        idle_since: when it came back, likewise.
        process: which one opened it.
        backend_pid: the server's process.
        holder: who has it now.
        outcome_unknown: whether it broke during a COMMIT.
    """

    __slots__ = (
        "_encoding",
        "_was_read_only",
        "backend_pid",
        "holder",
        "idle_since",
        "opened",
        "outcome_unknown",
        "process",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.holder: Holder | None = None
        self.idle_since = 0.0
        self.outcome_unknown = False
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            # Ctrl-C, or the timeout of a greenlet. Who keeps that exception keeps this half of a
            # connection, too, and the server takes it for a whole one.
            self.close()
            raise
        self.opened = monotonic()
        self.process = os.getpid()
        self.backend_pid = self.get_backend_pid()
        self._encoding = self.encoding
        self._was_read_only = self._is_read_only()
        _connections.add(self)
        interrupt.listen(_cancel_in_main_thread)

    def commit(self) -> None:
        """Commit, also after a BEGIN by hand in autocommit mode.

        Raises:
            TransactionLost: the connection broke before; no COMMIT was sent.
            psycopg2.errors.TransactionResolutionUnknown: it broke meanwhile.
        """
        with self.turn:
            if self.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
                self._look_before_commit()
            try:
                super().commit()
                if self.get_transaction_status() == extensions.TRANSACTION_STATUS_INTRANS:
                    self.run("COMMIT")
            except BaseException as error:
                self.check_outcome(error)
                raise
            self.begun = False

    def _look_before_commit(self) -> None:
        # A server may have ended the session while nobody asked it for anything. Now that is known
        # to have ended the transaction; a COMMIT without an answer would leave it open.
        try:
            self._look()
        except psycopg2.DatabaseError as error:
            self.close()
            raise TransactionLost(
                "the connection broke before COMMIT and all of the transaction is gone: "
                f"call rollback() or cleanup(), then begin again ({str(error).strip()})"
            ) from error

    tpc_prepare = _with_outcome("tpc_prepare")
    tpc_commit = _with_outcome("tpc_commit")

    def check_outcome(self, error: BaseException) -> None:
        """After ``error`` of a COMMIT: raise another where nobody can know what became of it.

        An exception that is not psycopg2's, a greenlet's timeout for example, stays what it is, and
        later statements are told by ``check()``.
        """
        if not isinstance(error, psycopg2.Error):
            # psycopg2 has closed the connection where the answer was still to come.
            self.outcome_unknown = bool(self.closed)
        elif isinstance(error, psycopg2.DatabaseError) and not isinstance(error, _REFUSED):
            # An error that the server has sent has a code, and leaves nothing unknown.
            if self.closed or error.pgcode is None:
                error = told(self, error)
                self.close()
                self.outcome_unknown = True
                raise errors.TransactionResolutionUnknown(
                    "the connection broke during COMMIT: whether the transaction was committed "
                    f"is unknown, and nothing was sent again ({str(error).strip()})"
                ) from error

    def check(self) -> None:
        """Raise ``TransactionLost`` where it broke inside a transaction."""
        if self.outcome_unknown:
            raise TransactionLost(
                "the connection broke during COMMIT, so nothing more can belong to that "
                "transaction: call rollback() or cleanup(), then find out whether it was committed"
            )
        if self.broke_in_transaction():
            raise TransactionLost(
                "the connection broke inside a transaction and all of that transaction is gone: "
                "call rollback() or cleanup(), then begin again"
            )

    def clean(self, settings: Settings) -> None:
        """Make it as good as new for the next scope: ROLLBACK, never COMMIT.

        Arguments:
            settings: tell the isolation level to go back to, and whether to forget all that the
                server keeps of a session.

        Raises:
            psycopg2.Error: it could not be done, and the connection must be ended.
        """
        if self.get_transaction_status() == ACTIVE:
            raise psycopg2.OperationalError("a statement is still under way")
        self.rollback()
        if self.shown or not self.merges:
            # Somebody may have changed what a transaction is, or how values are read.
            self.restore(settings.isolation_level)
        if settings.pool_reset == "discard":
            self.autocommit = True
            self.run("DISCARD ALL")
            self.restore(settings.isolation_level)
        if self.shown or self.notices or self.notifies:
            self.notices, self.notifies = [], []

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
        self.cursor_factory = None  # type: ignore[assignment]
        self.string_types.clear()
        self.binary_types.clear()
        if isolation_level is None:
            self.merge()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """A block in which somebody else has the connection, and may keep it."""
        was_shown = self.shown
        self.show()
        references = sys.getrefcount(self)
        try:
            yield
        finally:
            # With as many references as before, nobody has kept it.
            if not was_shown and sys.getrefcount(self) == references:
                self.hide()

    def broke_in_transaction(self) -> bool:
        """Whether it is closed, and a transaction was open when that happened."""
        # psycopg2 leaves the status where it stood when the connection broke.
        return bool(
            self.closed
            and (self.begun or self.outcome_unknown or self.status == extensions.STATUS_BEGIN)
        )

    def became_read_only(self) -> bool:
        """Whether its server takes no writes any more, as it reports by itself since version 14.

        A server that is on its way to being a standby ends its sessions, so it is not asked here.
        """
        return (
            self.get_parameter_status("default_transaction_read_only") == "on"
            and not self._was_read_only
        )

    def end(self, deadline: float | None = None) -> None:
        """Close it politely, also while another thread uses it: its statement is cancelled first.

        Without that, closing would wait for the statement however long it takes, and for ever
        where the network swallows the answer.

        Arguments:
            deadline: when to close it all the same, ``end_deadline()`` by default.
        """
        deadline = deadline or end_deadline()
        has_turn = False
        try:
            with suppress(psycopg2.Error, OSError):
                has_turn = self._take_turn(deadline)
                if has_turn:
                    self._end_copy(deadline)
            with suppress(psycopg2.Error, OSError), self._socket() as ours:
                # A thread that still waits for an answer finds the end of the stream. The goodbye
                # to the server can be sent all the same.
                ours.shutdown(socket.SHUT_RD)
            self.close()
        finally:
            if has_turn:
                self.turn.release()

    def _take_turn(self, deadline: float) -> bool:
        """Cancel what another thread has under way, and take its turn; False where that fails."""
        while not self.turn.acquire(timeout=PAUSE):
            if not self._interrupt(deadline):
                return False
        return True

    def _end_copy(self, deadline: float) -> None:
        """Cancel what takes no turn: a plain cursor of another thread, a COPY left half-way.

        Such a COPY goes on for ever, because nobody reads it to its end.
        """
        deadline = min(deadline, monotonic() + COPY_TIMEOUT)
        while self.get_transaction_status() == ACTIVE and self._interrupt(deadline):
            sleep(PAUSE)

    def _interrupt(self, deadline: float) -> bool:
        """Cancel what is under way; False where it is too late or the server does not answer."""
        # psycopg2's cancel() does not release the GIL, so a server that does not answer would
        # stop every thread.
        if monotonic() > deadline or not self._server_answers(deadline):
            return False
        self.cancel()
        return True

    def _server_answers(self, deadline: float) -> bool:
        """Whether the server answers a new client, here one that connects and asks for nothing."""
        with suppress(OSError), self._socket() as ours, socket.socket(ours.family) as trial:
            trial.settimeout(max(deadline - monotonic(), 0))
            host = self.info.host or ""
            # The name of the other end of a Unix socket may be relative to the server's directory.
            on_disk = f"{host}/.s.PGSQL.{self.info.port}"
            trial.connect(on_disk if host.startswith("/") else ours.getpeername())
            trial.shutdown(socket.SHUT_WR)
            return trial.recv(1) == b""
        return False

    def _socket(self) -> socket.socket:
        """The socket to the server, duplicated: a ``with`` block may outlast the connection."""
        return socket.socket(fileno=os.dup(self.fileno()))

    def _is_read_only(self) -> bool:
        return "on" in (
            self.get_parameter_status("in_hot_standby"),
            self.get_parameter_status("default_transaction_read_only"),
        )


def end_deadline() -> float:
    """When what is ended from now on has to be closed, in seconds of the monotonic clock."""
    return monotonic() + END_TIMEOUT


# Every one of this process, also those that a thread has in its hands at the moment of a fork.
_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _cancel_in_main_thread() -> None:
    """Cancel what the main thread has under way in a server."""
    main = threading.main_thread().name
    for connection in list(_connections):
        holder = connection.holder
        if holder is not None and holder.thread == main:
            if connection.get_transaction_status() == ACTIVE:
                with suppress(psycopg2.Error, OSError):
                    connection._interrupt(end_deadline())


def _leave_to_parent() -> None:
    """Cut a child process off its parent's sessions without a word to the server.

    Closing a connection would send the server a goodbye in the parent's name. With the null
    device in the socket's place it speaks to nobody.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for connection in list(_connections):
        connection.let_go()
        if not connection.closed:
            os.dup2(null, connection.fileno())
    os.close(null)
    _connections.clear()


fork.after_in_child(_leave_to_parent)
