"""A statement that waits for its own thread gets an error, and no other statement does."""

import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import psycopg2
import pytest
from simpycity.core import Raw
from support import PATIENCE, until

from simpycity_template.pool.owner import Owner
from simpycity_template.scopes import self_wait
from simpycity_template.scopes.self_wait import SelfWaits, self_waits

change = Raw("UPDATE counted SET n = n + 1")


@pytest.fixture
def counted(manager, dsn):
    """Reads what was committed of a table with one row."""
    link = psycopg2.connect(dsn)
    link.autocommit = True
    link.cursor().execute("CREATE TABLE counted (n int); INSERT INTO counted VALUES (0)")

    def counted():
        with link.cursor() as cursor:
            cursor.execute("SELECT n FROM counted")
            return cursor.fetchone()[0]

    yield counted
    link.close()


def lines(error):
    """The numbers of the lines of this file in an error."""
    return list(map(int, re.findall(r"test_self_wait\.py:(\d+) in ", str(error.value))))


def here():
    """The number of the line that asks."""
    return sys._getframe(1).f_lineno


def test_a_nested_scope_that_waits_for_the_one_around_it_gets_an_error(manager, counted):
    with manager.scope("the test"):
        taken = here() + 1
        change()
        with manager.scope("the request"):
            waits = here() + 2
            with pytest.raises(psycopg2.errors.DeadlockDetected, match="its own thread") as error:
                change()
            assert "scope 'the request', now at " in str(error.value)
            assert "waits for scope 'the test', whose connection was taken at" in str(error.value)
            assert lines(error) == [waits, taken]
            assert error.value.pgcode == "40P01"
        manager.commit()
    assert counted() == 1


def test_so_it_does_where_the_lock_is_of_the_session_and_no_transaction_is_open(manager):
    lock = Raw("SELECT pg_advisory_lock(1)")
    with manager.scope("job"):
        lock()
        manager.commit()
        with manager.scope("within"):
            with pytest.raises(psycopg2.errors.DeadlockDetected, match="scope 'job'"):
                lock()
        assert Raw("SELECT pg_advisory_unlock(1)")().fetchone()[0]


def test_a_handle_that_waits_for_another_of_its_scope_gets_an_error(manager, counted):
    with manager.scope("job"):
        change()
        other = manager.open()
        with pytest.raises(psycopg2.errors.DeadlockDetected, match="its own thread"):
            other.execute("UPDATE counted SET n = 5")
        other.rollback()
        manager.commit()
        other.execute("UPDATE counted SET n = n + 10")
        other.commit()
    assert counted() == 11


def test_what_waits_for_another_thread_goes_on(manager, counted):
    locked, looked = threading.Event(), threading.Event()

    def hold():
        with manager.scope("holder"):
            change()
            locked.set()
            assert looked.wait(PATIENCE)
            manager.commit()

    def wait():
        # Two connections, so it is looked after, and none of them is the one it waits for.
        with manager.scope("outer"):
            Raw("SELECT 1")()
            with manager.scope("inner"):
                change()
                manager.commit()

    with ThreadPoolExecutor(2) as threads:
        holder = threads.submit(hold)
        assert locked.wait(PATIENCE)
        waiter = threads.submit(wait)
        before = self_waits.looks
        until(lambda: self_waits.looks > before + 3)
        looked.set()
        holder.result()
        waiter.result()
    assert counted() == 2


def test_a_statement_that_takes_long_goes_on(manager):
    with manager.scope("outer"):
        Raw("SELECT 1")()
        with manager.scope("inner"):
            # A wait is found at the second look.
            before = self_waits.looks
            while self_waits.looks <= before + 1:
                assert Raw("SELECT pg_sleep(1), 1 AS n")().fetchone()["n"] == 1


def test_nobody_looks_where_no_thread_has_two_connections(manager):
    with manager.scope("outer"), manager.scope("inner"):
        Raw("SELECT 1")()
    until(lambda: not self_waits.watched)
    before = self_waits.looks
    with manager.scope("one"):
        Raw("SELECT 1")()
        assert not self_waits.watched
    assert self_waits.looks == before


def test_it_is_found_while_the_thread_has_connections_of_another_manager_too(
    make_manager, manager, counted
):
    other = make_manager(default=False)
    with manager.scope("outer"):
        change()
        with manager.scope("inner"), other.scope("theirs"):
            Raw("SELECT 1")()
            other.handle().execute("SELECT 1")
            with other.scope("theirs, too"):
                other.handle().execute("SELECT 1")
                with pytest.raises(psycopg2.errors.DeadlockDetected):
                    change()


def test_a_statement_that_could_not_be_cancelled_keeps_the_error_that_ends_it(
    manager, counted, monkeypatch
):
    waiting = Queue()

    def unanswered(connection, deadline, due):
        # The looks end with this one.
        monkeypatch.setattr(self_waits, "_look", lambda waited: set())
        waiting.put(connection.owner)
        return False

    def end_it():
        owner = waiting.get(timeout=PATIENCE)
        until(lambda: not owner.deadlock)
        owner.connection.cancel()

    monkeypatch.setattr(self_wait, "cancel", unanswered)
    with manager.scope("outer"):
        change()
        with manager.scope("inner"), ThreadPoolExecutor(1) as threads:
            ended = threads.submit(end_it)
            with pytest.raises(psycopg2.errors.QueryCanceled):
                change()
            ended.result()


def test_an_error_in_one_look_ends_no_other_look(manager, counted, monkeypatch, caplog):
    look, failed = self_waits._look, threading.Event()

    def fail_once(waited):
        if failed.is_set():
            return look(waited)
        failed.set()
        raise RuntimeError("of this test")

    monkeypatch.setattr(self_waits, "_look", fail_once)
    with manager.scope("outer"):
        change()
        with manager.scope("inner"), pytest.raises(psycopg2.errors.DeadlockDetected):
            change()
    assert "cannot look for statements that wait for their own thread" in caplog.text


def test_a_thread_with_one_connection_is_not_looked_after():
    waits = SelfWaits()
    waits.watch([Owner("the only one")], threading.current_thread())
    assert waits._added.empty()
