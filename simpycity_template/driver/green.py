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

from simpycity_template.driver.conninfo import given_parameters
from simpycity_template.driver.terminate import (
    CANCEL_INTERVAL,
    cancel,
    shut_down,
    terminate_deadline,
)
from simpycity_template.process.signals import finish, suppress_own


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
                finish(self._end_statement, connection)
            raise

    def _end_statement(self, connection: Any) -> None:
        with suppress_own(psycopg2.Error, OSError), _meanwhile(_cancel_until, connection):
            self._wait(connection)


@contextmanager
def connect_limit(connection: Any, dsn: str) -> Iterator[None]:
    """A block that opens a connection, for as long as ``connect_timeout`` allows for each host.

    Arguments:
        connection: that is being opened.
        dsn: how.

    Raises:
        psycopg2.OperationalError: it took longer.
    """
    seconds = given_parameters(dsn).get("connect_timeout", "")
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
            raise SilentHost(
                f"the server did not answer within {seconds} s (connect_timeout): timeout expired "
                f"({str(error).strip()})",
                _others(dsn, connection.info),
            ) from error
        raise


class SilentHost(psycopg2.OperationalError):
    """No answer within ``connect_timeout``.

    Attributes:
        others: the parameters of the hosts that are left to try; None where there is none.
    """

    def __init__(self, message: str, others: dict[str, str] | None) -> None:
        super().__init__(message)
        self.others = others


def connect_to_any(connect: Callable[..., Any], dsn: str, **options: Any) -> Any:
    """Open a connection; after a host that accepts clients and is silent then, to the next one.

    libpq itself goes on to the next one after a host that cannot be reached; where it does not wait
    itself, after that alone.

    Arguments:
        connect: as ``psycopg2.connect()``.
        dsn: as for that, with one host or several.
        options: as for that.

    Raises:
        psycopg2.OperationalError: none answers.
    """
    while True:
        try:
            return connect(dsn, **options)
        except SilentHost as error:
            if error.others is None:
                raise
            options |= error.others


def _others(dsn: str, silent: Any) -> dict[str, str] | None:
    """The hosts of a DSN but for the one that ``silent``, a ``connection.info``, was led to."""
    given = given_parameters(dsn)
    lists = {name: given[name].split(",") for name in ("host", "hostaddr", "port") if name in given}
    number = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=0)
    for index in range(number):
        names = [lists[name][index] for name in ("host", "hostaddr") if name in lists]
        ports = lists.get("port", [""])
        port = ports[index if len(ports) > 1 else 0] or "5432"
        if number > 1 and silent.host in names and str(silent.port) == port:
            # One port may be that of all hosts.
            for values in lists.values():
                del values[index : index + (len(values) > 1)]
            return {name: ",".join(values) for name, values in lists.items()}
    return None


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
