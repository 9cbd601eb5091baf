"""Who has a connection now. Listeners and messages call an owner a holder.

An owner is a record. It has its thread and its scope's label, and refers to no scope, because a list
of owners must not keep the scope of a thread that has ended.
"""

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver.connection import Connection
from simpycity_template.errors import TransactionLost
from simpycity_template.pool.call_site import application_line, described

if TYPE_CHECKING:
    from simpycity_template.pool.lost_writes import Outcome

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
"""What to do about work that keeps its connection."""


class Owner:
    """What is remembered of one connection in use, and of one that is waited for.

    Attributes:
        label: the scope's, ``"GET /notes/7"`` for example.
        since: when it began to wait for the connection, and then when it got it, in seconds of
            the monotonic clock.
        last_sql: the last statement, without its parameters.
        lost: whether the connection broke inside a transaction.
        ended_elsewhere: whether its scope was ended in a thread that was not in it.
        released: whether the connection was given back for good.
        depth: how many ``transaction()`` blocks are open on the connection.
        deadlock: what to say where its statement was cancelled because it waits for its own thread.
        outcome: how its scope ends, where that is known later than the ROLLBACK; otherwise None.
        comment: what its statements begin with; empty where ``tag_statements`` is off.
        dsn: of another database than the pool's; None for the pool's.
        isolation_level: of its transactions; None for the pool's.
        connection: what it has; None until it has one.
        served: what it waits for, a lock that ``serve()`` releases; None where it never waited. Not
            an event, which is written in Python: what a signal raises in one may be lost.
    """

    __slots__ = (
        "_line",
        "_thread",
        "comment",
        "connection",
        "deadlock",
        "depth",
        "dsn",
        "ended_elsewhere",
        "isolation_level",
        "label",
        "last_sql",
        "lost",
        "outcome",
        "released",
        "served",
        "since",
    )

    since: float

    def __init__(
        self,
        label: str,
        thread: threading.Thread | None = None,
        dsn: str | None = None,
        isolation_level: int | None = None,
        frames: int = 1,
    ) -> None:
        """
        Arguments:
            label: of the scope.
            thread: that is in the scope; the current one by default.
            dsn: of another database than the pool's.
            isolation_level: one of psycopg2's ``ISOLATION_LEVEL_*``; None is the pool's.
            frames: how many of the innermost frames on the stack are none of the application's.
        """
        self.label = label
        self._thread = thread or threading.current_thread()
        self.dsn = dsn
        self.isolation_level = isolation_level
        self.last_sql: str | None = None
        self.comment = self.deadlock = ""
        self.lost = self.ended_elsewhere = self.released = False
        self.depth = 0
        self.outcome: Outcome | None = None
        self.connection: Connection | None = None
        self.served: threading.Lock | None = None
        self._line = application_line(sys._getframe(frames))

    @property
    def thread(self) -> str:
        """The name of the thread."""
        return self._thread.name

    @property
    def waited(self) -> bool:
        """Whether it had to wait for the connection."""
        return self.served is not None

    def serve(self) -> None:
        """Let it wait no longer, once or more than once; the pool's lock is held."""
        if self.served is not None and self.served.locked():
            self.served.release()

    def cursor_error(self) -> psycopg2.Error:
        """Return the error of a cursor that is used when the connection was given back."""
        if self.ended_elsewhere:
            return TransactionLost(
                "the scope of this cursor was ended in another thread, and its transaction was rolled "
                "back: end a scope in the thread that began it"
            )
        return psycopg2.InterfaceError(
            "the scope of this cursor has ended, and it has no connection any more: "
            "call the query again for a new one"
        )

    @property
    def place(self) -> str:
        """The application's code line that asked for the connection."""
        return described(self._line)

    def now_at(self, frames: Mapping[int, FrameType]) -> str | None:
        """The application's code line where its thread is now; None where nobody knows.

        Arguments:
            frames: what ``sys._current_frames()`` returns.
        """
        frame = frames.get(self._thread.ident or 0)
        return None if frame is None else described(application_line(frame))


@dataclass(frozen=True)
class Status:
    """One open connection, as ``manager.status()`` lists it.

    Arguments:
        backend_pid: the process of the server, as in ``pg_stat_activity.pid``.
        state: ``"in use"`` or ``"idle"``.
        transaction: ``"idle"``, ``"active"``, ``"in transaction"``,
            ``"in failed transaction"`` or ``"lost"``.
        age: seconds for which it has been in this state.
        thread, label, place, last_sql: the owner's; None while idle.
        now_at: the application's code line where the owner's thread is now, if that is known.
    """

    backend_pid: int
    state: str
    transaction: str
    age: float
    thread: str | None = None
    label: str | None = None
    place: str | None = None
    last_sql: str | None = None
    now_at: str | None = None

    @classmethod
    def of(
        cls, connection: Connection, owner: Owner, now: float, frames: Mapping[int, FrameType]
    ) -> "Status":
        """That of a connection in use."""
        # One that is being closed by its thread must not be asked any more.
        status = None if connection.closed else connection.get_transaction_status()
        return cls(
            connection.backend_pid,
            "in use",
            _TRANSACTION.get(status, "lost"),
            now - owner.since,
            owner.thread,
            owner.label,
            owner.place,
            owner.last_sql,
            owner.now_at(frames),
        )

    def __str__(self) -> str:
        if self.state == "idle":
            return f"session {self.backend_pid}: idle for {self.age:.1f} s"
        return in_one_line([self])


def in_one_line(entries: list[Status]) -> str:
    """The words for connections in use that differ in their session, thread and age alone.

    Arguments:
        entries: the oldest first.
    """
    first, last = entries[0], entries[-1]
    sessions = ", ".join(str(entry.backend_pid) for entry in entries)
    threads = ", ".join(dict.fromkeys(repr(entry.thread) for entry in entries))
    age = f"{first.age:.1f} s"
    if first is not last:
        sessions = f"{sessions} (× {len(entries)})"
        age = f"{age} to {last.age:.1f} s"
    return (
        f"session {sessions}: thread {threads}, {scope_named(first.label, first.thread)}, "
        f"taken {age} ago at {first.place}, {first.transaction}, "
        f"last statement: {first.last_sql or 'none'}"
        + (f", its thread is now at {first.now_at}" if first.now_at else "")
    )


def scope_named(label: str | None, thread: str | None) -> str:
    """The words for the scope with this label, in a text that names the thread as well."""
    # Work outside a scope is called as its thread.
    return "in no scope" if label == thread else f"scope {label!r}"
