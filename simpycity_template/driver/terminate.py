"""Closes a connection by a deadline, also while another thread uses it.

Closing alone would wait for the statement of that thread however long it takes, and for ever where
the network swallows the answer. So the statement is cancelled first.
"""

import os
import socket
from collections.abc import Callable
from time import monotonic, sleep
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions

from simpycity_template.process.signals import finish, suppress_own

if TYPE_CHECKING:
    from simpycity_template.driver.connection import Connection

TERMINATE_TIMEOUT = 5
"""Seconds for the statements of other threads to end after they were cancelled."""

COPY_TIMEOUT = 0.3
"""Seconds of these for a COPY, which may not end although it was cancelled."""

CANCEL_INTERVAL = 0.02
"""Seconds between cancelling a statement and cancelling it again."""


def terminate_deadline() -> float:
    """When what is terminated from now on has to be closed, in seconds of the monotonic clock."""
    return monotonic() + TERMINATE_TIMEOUT


def terminate(connection: "Connection", deadline: float | None = None) -> None:
    """Cancel what is under way on ``connection``, and close it.

    Arguments:
        connection: that no scope uses any more.
        deadline: when to close it all the same, ``terminate_deadline()`` by default.
    """
    # In a destructor, or a signal's handler, that has interrupted a statement of this thread.
    has_lock = _has_lock(connection)
    finish(_terminate, connection, deadline or terminate_deadline(), has_lock)


def _terminate(connection: "Connection", deadline: float, had_lock: bool) -> None:
    try:
        with suppress_own(psycopg2.Error, OSError):
            if had_lock or _cancel_and_lock(connection, deadline):
                _cancel_copy(connection, deadline)
        with suppress_own(psycopg2.Error, OSError):
            # A thread that still waits for an answer finds the end of the stream. libpq can send
            # its Terminate message all the same.
            shut_down(connection, socket.SHUT_RD)
        connection.close()
    finally:
        # Whatever interrupted the step in which it was taken.
        while not had_lock and _has_lock(connection):
            connection.lock.release()


def _has_lock(connection: "Connection") -> bool:
    """Whether this thread has it."""
    return bool(connection.lock._is_owned())  # type: ignore[attr-defined]


def _cancel_and_lock(connection: "Connection", deadline: float) -> bool:
    """Cancel what another thread has under way, and lock; False where that fails."""
    while not connection.lock.acquire(timeout=CANCEL_INTERVAL):
        if not cancel(connection, deadline):
            return False
    return True


def _cancel_copy(connection: "Connection", deadline: float) -> None:
    """Cancel what takes no lock: a psycopg2 cursor of another thread, a COPY left half-way.

    Such a COPY goes on for ever, because nobody reads it to its end.
    """
    deadline = min(deadline, monotonic() + COPY_TIMEOUT)
    active = extensions.TRANSACTION_STATUS_ACTIVE
    while connection.get_transaction_status() == active and cancel(connection, deadline):
        sleep(CANCEL_INTERVAL)


def cancel(
    connection: "Connection", deadline: float, due: Callable[[], bool] | None = None
) -> bool:
    """Cancel what is under way; False where it is too late or the server does not answer.

    Arguments:
        connection: whose statement is cancelled.
        deadline: until when to wait for the server, in seconds of the monotonic clock.
        due: asked at the last moment whether the statement is still the one that is meant; its
            scope cannot give the connection back from then on until it is cancelled.
    """
    # psycopg2's cancel() does not release the GIL, so a server that does not answer would stop
    # every thread.
    if monotonic() > deadline or not _server_answers(connection, deadline):
        return False
    with connection.cancel_lock:
        connection.cancelling = True
        try:
            if due is None or due():
                connection.cancel()
        finally:
            connection.cancelling = False
    return True


def _server_answers(connection: "Connection", deadline: float) -> bool:
    """Whether the server answers a new client, here one that connects and asks for nothing."""
    with (
        suppress_own(OSError),
        _socket(connection) as ours,
        socket.socket(ours.family) as trial,
    ):
        trial.settimeout(max(deadline - monotonic(), 0))
        host = connection.info.host or ""
        # The name of the other end of a Unix socket may be relative to the server's directory.
        on_disk = f"{host}/.s.PGSQL.{connection.info.port}"
        trial.connect(on_disk if host.startswith("/") else ours.getpeername())
        trial.shutdown(socket.SHUT_WR)
        return trial.recv(1) == b""
    return False


def shut_down(connection: "Connection", how: int) -> None:
    """Shut the socket down: who waits for the server finds the end of the stream.

    Arguments:
        connection: whose socket it is.
        how: one of ``socket.SHUT_*``.

    Raises:
        psycopg2.InterfaceError, OSError: there is none any more.
    """
    with _socket(connection) as ours:
        ours.shutdown(how)


def _socket(connection: "Connection") -> socket.socket:
    """The socket to the server, duplicated: a ``with`` block may outlast the connection."""
    return socket.socket(fileno=os.dup(connection.fileno()))
