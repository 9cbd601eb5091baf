"""A scope that another thread ends at the very moment at which its own thread uses it.

The next scope has the connection by then. Whatever comes late must not touch it.
"""

import threading

import pytest
from psycopg2 import InterfaceError
from simpycity.core import Raw
from simpycity.handle import Cursor
from support import PATIENCE, in_thread, in_use, until

from simpycity_template import TransactionLost
from simpycity_template.driver import merged_begin
from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import ACTIVE

number = Raw("SELECT txid_current() AS number")


class Shared:
    """A scope that is ended as by another thread, whereupon the next scope gets its connection."""

    def __init__(self, manager):
        self.manager = manager
        self.block = manager.scope("shared")
        self.block.__enter__()
        number()
        (self.checkout,) = manager.scopes.current().checkouts.values()
        self.link = self.checkout.link

    def end(self):
        in_thread(lambda: self.block.__exit__(None, None, None))
        self.next = self.manager.scope("next")
        self.next.__enter__()
        self.transaction = number().fetchone()["number"]

    def end_at_the_lock(self):
        """End it when its thread is about to send the next statement."""
        lock, shared = self.link.lock, self

        class Late:
            def __enter__(self):
                shared.link.lock = lock
                shared.end()
                lock.acquire()

            def __exit__(self, *error):
                lock.release()

        self.link.lock = Late()

    def assert_next_is_untouched(self):
        assert number().fetchone()["number"] == self.transaction
        self.next.__exit__(None, None, None)
        assert in_use(self.manager) == []


class WatchedLock:
    """The lock of a connection, which notes that a thread waits for it."""

    def __init__(self, link):
        self._lock, self.is_waited_for = link.lock, threading.Event()
        link.lock = self

    def acquire(self, **limits):
        if self._lock.acquire(blocking=False):
            return True
        self.is_waited_for.set()
        return self._lock.acquire(**limits)

    def __enter__(self):
        self.acquire()

    def __exit__(self, *error):
        self._lock.release()

    def __getattr__(self, name):
        return getattr(self._lock, name)


@pytest.fixture
def shared(make_manager):
    return Shared(make_manager(pool_size=1, max_overflow=0))


@pytest.mark.parametrize("end", ["commit", "begin"])
def test_the_end_of_a_transaction_that_comes_late_is_an_error(shared, end):
    shared.end_at_the_lock()
    with pytest.raises(TransactionLost, match="was given back before its end"):
        getattr(shared.checkout, end)()
    shared.assert_next_is_untouched()


def test_a_rollback_that_comes_late_rolls_nothing_back(shared):
    shared.end_at_the_lock()
    shared.checkout.rollback()
    shared.assert_next_is_untouched()


def test_a_savepoint_that_comes_late_is_an_error(shared):
    shared.checkout.depth = 1
    block = shared.manager.transaction()
    shared.end_at_the_lock()
    with pytest.raises(TransactionLost, match="was given back before its end"):
        block.__enter__()
    shared.assert_next_is_untouched()


def test_the_end_of_a_savepoint_that_comes_late_is_an_error(shared):
    shared.checkout.depth = 1
    block = shared.manager.transaction()
    block.__enter__()
    shared.end_at_the_lock()
    with pytest.raises(TransactionLost, match="was given back before its end"):
        block.__exit__(None, None, None)
    shared.assert_next_is_untouched()


class OpenedLate(Cursor):
    """A cursor that is opened when the next scope has the connection."""

    shared = None

    def __init__(self, *args, **kwargs):
        self.shared.end()
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize("options", [{}, {"name": "numbers"}], ids=["plain", "named"])
def test_a_cursor_that_is_opened_late_sends_nothing(shared, monkeypatch, options):
    monkeypatch.setattr(OpenedLate, "shared", shared)
    cursor = shared.manager.handle().cursor(cursor_factory=OpenedLate, **options)
    with pytest.raises((TransactionLost, InterfaceError), match="scope of this cursor"):
        cursor.execute("INSERT INTO notes VALUES (1)")
    shared.assert_next_is_untouched()


def test_who_waited_for_a_connection_until_its_scope_had_ended_gets_an_error(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0)
    block, raised = manager.scope("shared"), []
    entered = threading.Event()

    def wait():
        block.__enter__()
        entered.set()
        try:
            number()
        except TransactionLost as error:
            raised.append(error)

    with manager.scope("first"):
        number()
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: entered.is_set() and manager.waiting())
        block.__exit__(None, None, None)
    until(lambda: raised)
    assert "scope 'shared' was ended in another thread" in str(raised[0])
    assert in_use(manager) == []
    thread.join()


@pytest.mark.parametrize("settings", [{}, {"log_lost_writes": True}, {"pool_reset": "discard"}])
def test_two_threads_that_clean_one_connection_leave_the_next_scope_alone(
    make_manager, monkeypatch, settings
):
    shared = Shared(make_manager(pool_size=1, max_overflow=0, **settings))

    def meanwhile(link):
        # The other thread is faster, from its beginning to its end.
        monkeypatch.undo()
        link.cancelling = False
        shared.end()

    shared.link.cancelling = True
    monkeypatch.setattr(Connection, "wait_until_cancelled", meanwhile)
    shared.checkout.pool.release(shared.checkout)
    shared.assert_next_is_untouched()


def test_the_first_statement_of_a_transaction_is_rolled_back_though_it_comes_late(
    shared, monkeypatch
):
    shared.manager.commit()
    lock, execute, seen = WatchedLock(shared.link), merged_begin.execute, []

    def end_and_go_on():
        shared.block.__exit__(None, None, None)
        with shared.manager.scope("next"):
            seen.append(number().fetchone()["number"])

    thread = threading.Thread(target=end_and_go_on)

    def late(*statement):
        # Its thread has seen that the scope goes on, and has sent nothing yet.
        monkeypatch.undo()
        thread.start()
        lock.is_waited_for.wait(PATIENCE)
        execute(*statement)

    monkeypatch.setattr(merged_begin, "execute", late)
    late_transaction = number().fetchone()["number"]
    thread.join(PATIENCE)
    assert seen != [late_transaction]
    assert in_use(shared.manager) == []


def test_a_second_thread_takes_the_rollback_of_the_first_for_no_statement(shared, monkeypatch):
    lock, pool = WatchedLock(shared.link), shared.checkout.pool
    run = Connection._run
    threads = [threading.Thread(target=pool.release, args=[shared.checkout]) for _ in "ab"]

    def slow(link, sql):
        monkeypatch.setattr(Connection, "get_transaction_status", lambda link: ACTIVE)
        threads[1].start()
        lock.is_waited_for.wait(PATIENCE)
        monkeypatch.undo()
        run(link, sql)

    monkeypatch.setattr(Connection, "_run", slow)
    threads[0].start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not shared.link.closed
    assert in_use(shared.manager) == []
