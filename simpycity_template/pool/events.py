"""What happens to connections, for those who listen, and how often each thing happened.

The pool fires an event only after it has released its lock. So a listener may ask for whatever the
manager knows, even where the garbage collector gave the connection back. But the scope does not
have its connection yet, so a listener must not query through the manager.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import psycopg2

from simpycity_template.driver.connection import Connection
from simpycity_template.pool.lost_writes import LostWrites
from simpycity_template.pool.owner import Owner
from simpycity_template.pool.statements import Statements
from simpycity_template.process.signals import raised_by_handler

log = logging.getLogger("simpycity_template")

EVENTS = (
    "connect",
    "checkout",
    "checkin",
    "wait",
    "timeout",
    "reconnect",
    "lost",
    "hold_warning",
    "begin",
    "statement",
)

HOLD_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0)
"""Upper bounds, in seconds, of the histogram of hold times; above the last there is no bound."""


class Event:
    """What a listener gets.

    Attributes:
        name: one of ``EVENTS``.
        holder: on whose behalf it happened: its ``label``, ``thread``, ``place``, ``last_sql``.
        seconds: for ``connect`` how long it took to open the connection (0 where it comes after a
            DISCARD ALL), for ``checkin`` and ``hold_warning`` how long the connection was held, for
            ``wait`` and ``timeout`` how long its thread waited for one, for ``statement`` how
            long it took; otherwise 0.
        sql: for ``statement`` its text, as the application wrote it, without its arguments; for
            ``callproc()`` the name of the function, for ``copy_from()`` and ``copy_to()`` the
            name of the table.
        rows: for ``statement`` how many rows it returned or changed; -1 where nobody knows.
        error: for ``statement`` what it raised, or None.
    """

    __slots__ = ("_connection", "error", "holder", "name", "rows", "seconds", "sql")

    def __init__(
        self, name: str, holder: Owner, seconds: float = 0.0, connection: Connection | None = None
    ) -> None:
        self.name = name
        self.holder = holder
        self.seconds = seconds
        self.sql: str | None = None
        self.rows = -1
        self.error: BaseException | None = None
        self._connection = connection

    def execute(self, sql: str, arguments: Any = None) -> None:
        """Run a statement on the connection, for ``connect``, ``checkout`` and ``begin``.

        Other than ``connection`` it hands nothing out, so it costs its own round trip alone.

        Arguments:
            sql, arguments: as psycopg2 takes them.

        Raises:
            psycopg2.Error: the server refused it.
            RuntimeError: the event has no connection.
        """
        if self._connection is None:
            raise RuntimeError(f"an event {self.name!r} has no connection to execute on")
        self._connection.run(sql, arguments)

    @property
    def connection(self) -> Any:
        """The psycopg2 connection, for ``connect``, ``checkout`` and ``begin``; otherwise None.

        Who asks for it may keep it, so from then on psycopg2 itself begins the transactions of
        this connection: one round trip more for each.
        """
        return self._connection.hand_out() if self._connection is not None else None


Listener = Callable[[Event], object]


class Events:
    """The listeners of one manager, and its counts.

    Attributes:
        listeners: those of each event.
        lost_writes: logs transactions that nobody committed, where that is switched on; or None.
        counts: how often each event happened in this process; ``checkin`` is counted in ``holds``.
        waited: seconds for which threads waited for a connection that they got, all together.
        held: seconds for which connections were held that have come back, all together.
        holds: how many hold times there were up to each of ``HOLD_BUCKETS`` and above the one
            before it; the last entry counts those above all of them.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, list[Listener]] = {name: [] for name in EVENTS}
        self._of_statements = Statements(self)
        self.lost_writes: LostWrites | None = None
        # What connections refer to while somebody listens to what happens inside scopes.
        self.statements: Statements | None = None
        self.forked()

    def forked(self) -> None:
        """A child process counts from zero; what listens goes on listening."""
        self.counts = dict.fromkeys(EVENTS, 0)
        self.waited = self.held = 0.0
        self.holds = [0] * (len(HOLD_BUCKETS) + 1)

    def listen(self, name: str, listener: Listener) -> None:
        """Call ``listener`` with an ``Event`` at each event of that name."""
        self._of(name).append(listener)
        self._refer()

    def unlisten(self, name: str, listener: Listener) -> None:
        """Do not call ``listener`` any more."""
        listeners = self._of(name)
        if listener not in listeners:
            raise ValueError(f"{listener!r} does not listen to {name!r}")
        listeners.remove(listener)
        self._refer()

    def log_lost_writes(self, switched_on: bool) -> None:
        """Log, or do not log, what scopes have changed and nobody committed."""
        self.lost_writes = LostWrites() if switched_on else None
        self._refer()

    def _refer(self) -> None:
        inside = self.listens_to("begin") or self.listens_to("statement") or self.lost_writes
        self.statements = self._of_statements if inside else None

    def listens_to(self, name: str) -> bool:
        """Whether anybody listens to an event."""
        return bool(self.listeners[name])

    def prepare(self, name: str, owner: Owner, connection: Connection) -> None:
        """Call listeners that the owner depends on.

        Raises:
            Exception: what a listener raises, after a ROLLBACK.
        """
        event = Event(name, owner, 0.0, connection)
        try:
            for listener in tuple(self.listeners[name]):
                listener(event)
        except BaseException:
            _roll_back(connection)
            raise

    def executed(
        self, owner: Owner, seconds: float, rows: int, error: BaseException | None
    ) -> None:
        """Call the listeners of a statement, the last one of ``owner``."""
        event = Event("statement", owner, seconds)
        event.sql, event.rows, event.error = owner.last_sql, rows, error
        self.call(event, None)

    def fire(
        self, name: str, owner: Owner, seconds: float = 0.0, connection: Connection | None = None
    ) -> None:
        """Count an event and call its listeners. Never raises an exception of a listener."""
        # No lock: between reading and writing a number no other thread gets its turn.
        self.counts[name] += 1
        if self.listeners[name]:
            self.call(Event(name, owner, seconds, connection), connection)

    def checked_in(self, owner: Owner, seconds: float) -> None:
        """Note for how long a connection was held that came back, and call the listeners."""
        self.held += seconds
        self.holds[bisect_left(HOLD_BUCKETS, seconds)] += 1
        if self.listeners["checkin"]:
            self.call(Event("checkin", owner, seconds), None)

    def call(self, event: Event, connection: Connection | None) -> None:
        """Call the listeners of an event, and count nothing."""
        for listener in tuple(self.listeners[event.name]):
            try:
                listener(event)
            except BaseException as error:
                if isinstance(error, Exception) and not raised_by_handler(error):
                    log.exception("a listener to %r failed: %r", event.name, listener)
                    _roll_back(connection)
                    continue
                if connection is not None:
                    # It may have prepared the session by half, for all who use it later.
                    connection.close()
                raise

    def _of(self, name: str) -> list[Listener]:
        if name not in self.listeners:
            close = get_close_matches(str(name), EVENTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(EVENTS)}"
            raise ValueError(f"there is no event {name!r}: {hint}")
        return self.listeners[name]


def _roll_back(connection: Connection | None) -> None:
    """The owner must not begin in a transaction that a listener has spoilt."""
    if connection is not None:
        try:
            connection.rollback()
        except psycopg2.Error:
            # It broke, and the owner's first statement gets the error.
            pass
