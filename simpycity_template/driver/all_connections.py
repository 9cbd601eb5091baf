"""The connections of this process: what a fork and Ctrl-C do to them, whoever has them."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg2

from simpycity_template.driver.terminate import cancel, terminate_deadline
from simpycity_template.process import fork
from simpycity_template.process.weak_list import WeakList

if TYPE_CHECKING:
    from simpycity_template.driver.connection import Connection

# Also those that a thread has in its hands at the moment of a fork.
_connections: "WeakList[Connection]" = WeakList()


def register(connection: "Connection") -> None:
    """Note a connection that was opened."""
    _connections.add(connection)


def cancel_in_main_thread(waits: Callable[[], bool]) -> None:
    """Cancel what the main thread has under way in a server.

    Arguments:
        waits: whether the main thread still waits for it.
    """
    main = threading.main_thread().name
    for connection in _connections:
        owner = connection.owner
        if owner is not None and owner.thread == main and connection.is_active_for(owner):
            due = partial(_waits_for, connection, owner, waits)
            with suppress(psycopg2.Error, OSError):
                cancel(connection, terminate_deadline(), due)


def _waits_for(connection: "Connection", owner: Any, waits: Callable[[], bool]) -> bool:
    return connection.is_active_for(owner) and waits()


def _leave_to_parent() -> None:
    """Cut a child process off its parent's sessions, and send the server nothing.

    Closing a connection would send a Terminate message in the parent's name. With the null device
    in the socket's place it reaches nobody.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for connection in _connections:
        connection.drop_cycles()
        if not connection.closed:
            os.dup2(null, connection.fileno())
    os.close(null)
    _connections.clear()


fork.after_in_child(_leave_to_parent)
