"""Who has a connection now.

A holder is a plain record. It knows its thread by name and its scope by label, and
refers to neither: whoever lists the holders must not keep a dead thread's scope alive.
"""

import contextlib
import os
import sys
import threading
from dataclasses import dataclass
from types import CodeType

import simpycity
from psycopg2 import extensions

from simpycity_template import settings

_TRANSACTION: dict[int | None, str] = {
    extensions.TRANSACTION_STATUS_IDLE: "idle",
    extensions.TRANSACTION_STATUS_ACTIVE: "active",
    extensions.TRANSACTION_STATUS_INTRANS: "in transaction",
    extensions.TRANSACTION_STATUS_INERROR: "in failed transaction",
}

ENDS_WITH_SCOPE = (
    "A transaction ends with its scope: a request is one, and other work needs a block "
    '`with manager.scope("what it does"):` around each piece of it.'
)
"""What to do about work that holds on."""

# Frames of these are on the way from the application to the pool, never its own code.
_OURS = (contextlib.__file__,) + tuple(
    os.path.dirname(os.path.abspath(module)) + os.sep
    for module in (settings.__file__, simpycity.__file__)
)


class Holder:
    """What is remembered of one connection in use.

    Attributes:
        label: the scope's, ``"GET /notes/7"`` for example.
        thread: the name of the thread.
        since: when it began to wait for the connection, and then when it got it, in seconds of
            the monotonic clock.
        last_sql: the last statement, without its parameters.
        warned: whether ``hold_warning`` was already logged for it.
        lost: whether the connection broke inside a transaction.
        tag: what its statements begin with; empty where ``tag_statements`` is off.
    """

    __slots__ = ("_line", "label", "last_sql", "lost", "since", "tag", "thread", "warned")

    since: float

    def __init__(self, label: str) -> None:
        self.label = label
        self.thread = threading.current_thread().name
        self.last_sql: str | None = None
        self.tag = ""
        self.warned = self.lost = False
        self._line = _application_line(2)

    @property
    def place(self) -> str:
        """The application's code line that asked for the connection."""
        return _described(self._line)


@dataclass(frozen=True)
class Status:
    """One open connection, as ``manager.status()`` lists it.

    Arguments:
        backend_pid: the process of the server, as in ``pg_stat_activity.pid``.
        state: ``"in use"`` or ``"idle"``.
        transaction: ``"idle"``, ``"active"``, ``"in transaction"``,
            ``"in failed transaction"`` or ``"lost"``.
        age: seconds for which it has been in this state.
        thread, label, place, last_sql: the holder's; None while idle.
    """

    backend_pid: int
    state: str
    transaction: str
    age: float
    thread: str | None = None
    label: str | None = None
    place: str | None = None
    last_sql: str | None = None

    def __str__(self) -> str:
        if self.state == "idle":
            return f"session {self.backend_pid}: idle for {self.age:.1f} s"
        return (
            f"session {self.backend_pid}: thread {self.thread!r}, "
            f"{scope_named(self.label, self.thread)}, taken {self.age:.1f} s ago at {self.place}, "
            f"{self.transaction}, last statement: {self.last_sql or 'none'}"
        )


def scope_named(label: str | None, thread: str | None) -> str:
    """The words for the scope with this label, in a text that names the thread as well."""
    # Work outside a scope is called as its thread.
    return "in no scope" if label == thread else f"scope {label!r}"


def transaction_state(status: int | None) -> str:
    """The word for one of psycopg2's ``TRANSACTION_STATUS_*``; None is a closed connection's."""
    return _TRANSACTION.get(status, "lost")


def from_here(place: str) -> str:
    """A code line with its file as one would name it in this process's folder."""
    try:
        return place.removeprefix(os.getcwd() + os.sep)
    except FileNotFoundError:
        # The folder is gone.
        return place


def application_line() -> str:
    """The innermost line on the stack that is not Simpycity's or this package's."""
    return _described(_application_line(1))


def _application_line(depth: int) -> tuple[CodeType, int]:
    # Most holders are never asked for it, so even the line's number is found out later.
    frame = sys._getframe(depth)
    while True:
        file = frame.f_code.co_filename
        if file not in _our_files:
            if not file.startswith(_OURS):
                break
            _our_files.add(file)
        caller = frame.f_back
        if caller is None:
            break
        frame = caller
    return frame.f_code, frame.f_lasti


# A look-up in this set costs less than to compare how a name begins.
_our_files: set[str] = set()


def _described(line: tuple[CodeType, int]) -> str:
    code, instruction = line
    number = code.co_firstlineno
    for start, end, at in code.co_lines():
        if start <= instruction < end:
            number = at or number
    return f"{code.co_filename}:{number} in {code.co_name}"
