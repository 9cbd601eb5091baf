"""The transactions of a psycopg2 connection: who begins them, and how they end.

As a rule BEGIN goes along with the first statement (``merged_begin.py``), and psycopg2, which does
not know of it, is in autocommit mode. That is right only while nobody but this package has the
connection: the application may make psycopg2's own cursors of it, and use them at any time. So
``hand_out()`` is a door that opens one way. From then on psycopg2 begins and ends the transactions
of that connection, until it is replaced.
"""

import threading
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.driver import commit_outcome
from simpycity_template.driver.disconnect import raise_translated
from simpycity_template.driver.session import Session
from simpycity_template.driver.state import (
    BY_HAND,
    IDLE,
    IN_TRANSACTION,
    MERGED,
    PSYCOPG2,
    READY,
)

# What this class overrides, as psycopg2 has it.
_psycopg2: Any = extensions.connection
set_autocommit = _psycopg2.autocommit.__set__
psycopg2_commit, psycopg2_rollback = _psycopg2.commit, _psycopg2.rollback


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


class Transactions(extensions.connection):
    """A psycopg2 connection that knows its transaction.

    Attributes:
        state: one of ``State``.
        lock: held by whoever sends a statement; psycopg2's own has no timeout.
        owner: who has it now; an object of the pool, None while idle.
        handed_out: whether anybody but this package may have it.
        proxy: what a monitoring agent's ``psycopg2.connect()`` returned in its place, or None.
        statements: of the pool, while somebody listens to what happens inside scopes; or None.
        begin_fired: whether listeners have got the ``begin`` of the transaction that is open.
        answered, looked: when the server answered last, and when the socket was looked at last, in
            seconds of the monotonic clock.
    """

    # As psycopg2's own connection, it takes no other attributes. These are looked up often.
    __slots__ = (
        "_cursor",
        "_session",
        "answered",
        "begin_fired",
        "handed_out",
        "lock",
        "looked",
        "owner",
        "proxy",
        "state",
        "statements",
    )

    answered: float
    looked: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock = threading.RLock()
        self.state = PSYCOPG2
        self.handed_out = self.begin_fired = False
        self.owner: Any = None
        self.proxy: Any = None
        self.statements: Any = None
        self._cursor: Any = None
        super().__init__(*args, **kwargs)
        # Also one that is given back before it was prepared is reset.
        self._session = Session.of(self)

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
        # Also where no transaction is open: who has the lock may be about to begin one.
        with self.lock:
            if self.owner is not None:
                return
            if self.state is not READY:
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
                    self._after_transaction()
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
                    psycopg2_commit(self)
                if self.get_transaction_status() != IDLE:
                    # One that psycopg2 does not know of.
                    self.run(b"COMMIT" if self.statements is None else self.statements.commit(self))
            except BaseException as error:
                commit_outcome.check_after_commit(self, error)
                raise
            finally:
                # As psycopg2 does: also where it failed, no transaction is left.
                self.begin_fired = False
                self._after_transaction()

    def rollback(self) -> None:
        """Roll back, also what was begun by hand in autocommit mode."""
        with self.lock:
            self._roll_back()

    def _roll_back(self) -> None:
        if self.state is not MERGED:
            psycopg2_rollback(self)
        if self.get_transaction_status() != IDLE:
            # As bytes, which psycopg2 need not encode.
            self._run(b"ROLLBACK")
        self.begin_fired = False
        self._after_transaction()

    tpc_prepare = _with_outcome("tpc_prepare")
    tpc_commit = _with_outcome("tpc_commit")

    def _after_transaction(self) -> None:
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
            self._after_transaction()

    def run(self, sql: str | bytes, arguments: Any = None) -> None:
        """Execute a statement whose result nobody reads."""
        with self.lock:
            self._run(sql, arguments)

    def _run(self, sql: str | bytes, arguments: Any = None) -> None:
        cursor = self._cursor
        if cursor is None or self.closed:
            cursor = self._cursor = extensions.cursor(self)
        try:
            cursor.execute(sql, arguments)
        except psycopg2.DatabaseError as error:
            raise_translated(self, error)
        self.answered = monotonic()
