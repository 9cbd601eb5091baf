"""Bounds what a wait callback waits for, whichever it is: psycogreen's for gevent, or another.

Where psycopg2 has one, libpq only says what to wait for. So nobody keeps ``connect_timeout``. And where
an exception ends the wait for a statement, the timeout of a greenlet for example, psycopg2 closes the
connection, while the server goes on with the statement: each such session is one beyond the limit.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.conninfo import told
from simpycity_template.driver.terminate import (
    CANCEL_INTERVAL,
    cancel,
    shut_down,
    terminate_deadline,
)


def guard_wait() -> None:
    """Let a statement end on the server, too, when an exception ends the wait for it."""
    wait = extensions.get_wait_callback()
    if wait is not None and not isinstance(wait, GuardedWait):
        extensions.set_wait_callback(GuardedWait(wait))


class GuardedWait:
    """A wait callback that leaves no statement of a connection of ours under way."""

    def __init__(self, wait: Callable[[Any], object]) -> None:
        """
        Arguments:
            wait: the callback that waits.
        """
        self._wait = wait

    def __call__(self, connection: Any) -> None:
        """Wait, as psycopg2 asks for it."""
        try:
            self._wait(connection)
        except psycopg2.Error:
            raise
        except BaseException:
            # That of a pooled connection, which has its attributes when it is open.
            if hasattr(connection, "backend_pid"):
                with suppress(psycopg2.Error, OSError), _meanwhile(_cancel_until, connection):
                    self._wait(connection)
            raise


@contextmanager
def connect_limit(connection: Any, dsn: str) -> Iterator[None]:
    """A block that opens a connection, for as long as ``connect_timeout`` allows for each host.

    Arguments:
        connection: that is being opened.
        dsn: how.

    Raises:
        psycopg2.OperationalError: it took longer.
    """
    seconds = told(dsn).get("connect_timeout", "")
    if extensions.get_wait_callback() is None or not seconds.isdecimal() or not int(seconds):
        # libpq keeps the limit, or there is none.
        yield
        return
    expired = []

    def expire(done: threading.Event) -> None:
        while not done.wait(int(seconds)):
            expired.append(True)
            # libpq goes on to the next host, if there is one.
            with suppress(psycopg2.Error, OSError):
                shut_down(connection, socket.SHUT_RDWR)

    try:
        with _meanwhile(expire):
            yield
    except psycopg2.OperationalError as error:
        if expired:
            raise psycopg2.OperationalError(
                f"the server did not answer within {seconds} s (connect_timeout): timeout expired "
                f"({str(error).strip()})"
            ) from error
        raise


@contextmanager
def _meanwhile(work: Callable[..., object], *args: Any) -> Iterator[None]:
    """Run ``work`` beside the block: in a thread, which gevent makes a greenlet of."""
    done = threading.Event()
    threading.Thread(target=work, args=[*args, done], name="simpycity green", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _cancel_until(connection: Any, done: threading.Event) -> None:
    """Cancel what is under way until it is done; where the server does not answer, cut it off."""
    deadline = terminate_deadline()
    with suppress(psycopg2.Error, OSError):
        while not done.is_set() and cancel(connection, deadline):
            # One that was still being sent is not under way yet, and is found at the next try.
            done.wait(CANCEL_INTERVAL)
    if not done.is_set():
        with suppress(psycopg2.Error, OSError):
            shut_down(connection, socket.SHUT_RDWR)
