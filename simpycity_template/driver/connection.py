"""A psycopg2 connection that can be pooled: its transaction, its lock, and how it becomes as new.

Who begins its transactions is its state. As a rule BEGIN goes along with the first statement
(``merged_begin.py``), and psycopg2, which does not know of it, is in autocommit mode. That is right
only while nobody but this package has the connection: the application may make psycopg2's own
cursors of it, and use them at any time. So ``hand_out()`` is a door that opens one way. From then on
psycopg2 begins and ends the transactions of that connection, until it is replaced.
"""

import os
import threading
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver import commit_outcome
from simpycity_template.driver.all_connections import cancel_in_main_thread, register
from simpycity_template.driver.check_socket import is_read_only
from simpycity_template.driver.disconnect import raise_translated
from simpycity_template.driver.green import connect_limit, guard_wait
from simpycity_template.driver.half_made import half_made
from simpycity_template.driver.session import Session
from simpycity_template.driver.state import (
    ACTIVE,
    BY_HAND,
    IDLE,
    IN_TRANSACTION,
    MERGED,
    PSYCOPG2,
    READY,
)
from simpycity_template.driver.traced_cursor import traced
from simpycity_template.process import interrupt

# What this class overrides, as psycopg2 has it.
_psycopg2: Any = extensions.connection
set_autocommit = _psycopg2.autocommit.__set__
_commit, _rollback = _psycopg2.commit, _psycopg2.rollback


def _with_outcome(name: str) -> Any:
    """psycopg2's method ``name``, which is a kind of COMMIT."""
    own = getattr(_psycopg2, name)

    def method(self: Any, *args: Any) -> None:
        with self.lock:
            try:
                own(self, *args)
            except BaseException as error:
                commit_outcome.check_after_commit(self, error)
                raise

    method.__name__, method.__doc__ = name, own.__doc__
    return method


class Connection(extensions.connection):
    """A psycopg2 connection that knows its transaction, its process and its owner.

    Attributes:
        state: one of ``State``.
        lock: held by whoever sends a statement; psycopg2's own has no timeout.
        cancel_lock: held by whoever cancels a statement.
        cancelling: whether somebody does; then its next owner has to wait for that lock.
        owner: who has it now; an object of the pool, None while idle.
        handed_out: whether anybody but this package may have it.
        proxy: what a monitoring agent's ``psycopg2.connect()`` returned in its place, or None.
        tracer: the class of cursors by which an agent sees statements, or None.
        statements: of the pool, while somebody listens to what happens inside scopes; or None.
        begin_fired: whether listeners have got the ``begin`` of the transaction that is open.
        opened, answered, looked: when it was opened, when the server answered last, and when the
            socket was looked at last, in seconds of the monotonic clock.
        backend_pid: the server's process.
        process: which process opened it.
        was_read_only: whether its server took no writes when it was opened.
        expires, idle_since: the pool's, in seconds of the monotonic clock.
    """

    # As psycopg2's own connection, it takes no other attributes. These are looked up often.
    __slots__ = (
        "_cursor",
        "_session",
        "answered",
        "backend_pid",
        "begin_fired",
        "cancel_lock",
        "cancelling",
        "expires",
        "handed_out",
        "idle_since",
        "lock",
        "looked",
        "opened",
        "owner",
        "process",
        "proxy",
        "state",
        "statements",
        "tracer",
        "was_read_only",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state = PSYCOPG2
        self.handed_out = False
        self.owner: Any = None
        self.proxy: Any = None
        self.tracer: Any = None
        self.statements: Any = None
        self._cursor: Any = None
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
        self.lock = threading.RLock()
        self.begin_fired = False
        self.cancel_lock = threading.Lock()
        self.cancelling = False
        self.opened = self.answered = self.looked = monotonic()
        self.expires = self.opened
        self.process = os.getpid()
        self.backend_pid = self.get_backend_pid()
        self.was_read_only = is_read_only(self)
        interrupt.listen(cancel_in_main_thread)

    # --- what each scope begins with ---

    def remember_session(self) -> None:
        """Take the session as it is now for what each scope begins with."""
        self._session = Session.of(self)
        self._make_ready()

    def reset_state(self) -> None:
        """Make it as good as new for the next owner: ROLLBACK, never COMMIT.

        Two threads may do that at once, and the next owner may have it before the second begins; so
        nothing is done to a connection that has an owner.

        Raises:
            psycopg2.Error: it could not be done, and the connection must be terminated.
        """
        if self.state is not READY:
            if self.get_transaction_status() == ACTIVE and self.owner is None:
                raise psycopg2.OperationalError("a statement is still under way")
            with self.lock:
                if self.owner is None:
                    self._roll_back()
                    if self.state is not READY:
                        self._session.restore(self)
                        self._make_ready()
        if self.notices or self.notifies:
            # Somebody may still have the lists.
            self.notices, self.notifies = [], []

    def discard(self) -> None:
        """Have the server forget all that it keeps of the session, after ``reset_state()``."""
        set_autocommit(self, True)
        self.run("DISCARD ALL")
        self._session.restore_encoding(self)
        # When autocommit mode begins anew, psycopg2 sends what that has ended.
        set_autocommit(self, False)
        self.state = PSYCOPG2
        self._session.restore(self)
        self._make_ready()

    def set_level(self, isolation_level: int) -> None:
        """Have psycopg2 begin transactions of ``isolation_level`` until the scope ends."""
        self.state = PSYCOPG2
        self.set_isolation_level(isolation_level)

    def _make_ready(self) -> None:
        if not self.handed_out and self._session.is_plain:
            set_autocommit(self, True)
            self.state = READY

    # --- transactions ---

    def hand_out(self) -> Any:
        """Return what may be given to the application, which may keep it for ever.

        That is the proxy of a monitoring agent, where there is one, or else the connection itself.
        """
        if not self.handed_out and not self.closed:
            with self.lock:
                self.handed_out = True
                if self.state is READY or self.get_transaction_status() == IDLE:
                    self._ended()
                elif self.state is MERGED and self.get_transaction_status() == IN_TRANSACTION:
                    self._let_psycopg2_begin()
        return self.proxy or self

    def _let_psycopg2_begin(self) -> None:
        """Make the open transaction psycopg2's own.

        For that psycopg2 has to send its BEGIN, which the server answers with a warning only.

        Raises:
            TransactionLost: the connection broke.
        """
        commit_outcome.check_before_end(self)
        set_autocommit(self, False)
        notices, self.notices = self.notices, []
        try:
            # With its comment, because PostgreSQL shows it until the next statement.
            self.run(f"{self.owner.comment if self.owner else ''}SELECT 1")
            self.state = PSYCOPG2
        except psycopg2.Error as error:
            commit_outcome.raise_lost(error)
        finally:
            self.notices = notices

    def commit(self) -> None:
        """Commit, also after a BEGIN by hand in autocommit mode.

        Raises:
            TransactionLost: the connection broke before; no COMMIT was sent.
            psycopg2.errors.TransactionResolutionUnknown: it broke meanwhile.
        """
        with self.lock:
            if self.get_transaction_status() != IDLE:
                commit_outcome.check_before_end(self)
            try:
                if self.state is not MERGED:
                    _commit(self)
                if self.get_transaction_status() != IDLE:
                    # One that psycopg2 does not know of.
                    self.run("COMMIT" if self.statements is None else self.statements.commit(self))
            except BaseException as error:
                commit_outcome.check_after_commit(self, error)
                raise
            finally:
                # As psycopg2 does: also where it failed, no transaction is left.
                self.begin_fired = False
                self._ended()

    def rollback(self) -> None:
        """Roll back, also what was begun by hand in autocommit mode."""
        with self.lock:
            self._roll_back()

    def _roll_back(self) -> None:
        if self.state is not MERGED:
            _rollback(self)
        if self.get_transaction_status() != IDLE:
            self._run("ROLLBACK")
        self.begin_fired = False
        self._ended()

    tpc_prepare = _with_outcome("tpc_prepare")
    tpc_commit = _with_outcome("tpc_commit")

    def _ended(self) -> None:
        """No transaction is open: say who begins the next."""
        if self.closed:
            return
        if self.state is READY or self.state is MERGED:
            if self.handed_out:
                set_autocommit(self, False)
                self.state = PSYCOPG2
            else:
                self.state = READY
        elif self.state is BY_HAND:
            self.state = PSYCOPG2

    def sync_state(self) -> None:
        """Notice a BEGIN, COMMIT or ROLLBACK that was written as SQL.

        psycopg2 believes that a transaction which was ended so goes on, and would send the next
        statement without BEGIN: the server would commit it by itself.
        """
        if self.closed:
            return
        if self.get_transaction_status() != IDLE:
            if self.state is PSYCOPG2 and self.autocommit:
                self.state = BY_HAND
        elif self.state is PSYCOPG2 and self.status == extensions.STATUS_BEGIN:
            self.rollback()
        else:
            self._ended()

    def run(self, sql: str, arguments: Any = None) -> None:
        """Execute a statement whose result nobody reads."""
        with self.lock:
            self._run(sql, arguments)

    def _run(self, sql: str, arguments: Any = None) -> None:
        cursor = self._cursor
        if cursor is None or self.closed:
            cursor = self._cursor = extensions.cursor(self)
        try:
            cursor.execute(sql, arguments)
        except psycopg2.DatabaseError as error:
            raise_translated(self, error)
        self.answered = monotonic()

    # --- what the application can do with it ---

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Open a cursor; one of a foreign class may be used at any time, so psycopg2 begins."""
        factory = kwargs.get("cursor_factory") or self.cursor_factory
        if not getattr(factory, "merges_begin", False) or args or kwargs.get("name") is not None:
            self.hand_out()
        return super().cursor(*args, **kwargs)

    def open_cursor(self, factory: Any) -> Any:
        """Open a cursor of a class whose ``execute()`` sends through ``merged_begin``."""
        if self.tracer is not None:
            factory = traced(factory, self.tracer)
        if self.proxy is None:
            # As psycopg2's cursor() does it in the end.
            return factory(self)
        return self.proxy.cursor(cursor_factory=factory)

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

    def drop_cycles(self) -> None:
        """Drop what refers back to it, so that it is freed without the garbage collector."""
        self._cursor = self.proxy = None
