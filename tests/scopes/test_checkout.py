"""A checkout gives back what it has, whatever arrives meanwhile, and lets that go on."""

import os
import signal

import pytest
from simpycity.core import Raw
from support import calls_of, in_use, until

from simpycity_template.driver.connection import Connection
from simpycity_template.middleware import ManagerMiddleware


class SoftTimeLimit(Exception):
    """As Celery's, RQ's and dramatiq's: a plain exception that a signal handler raises."""


@pytest.fixture
def limited(monkeypatch):
    """Raises a time limit in the main thread while a ROLLBACK is under way."""

    def limit(number, frame):
        raise SoftTimeLimit

    before = signal.signal(signal.SIGUSR1, limit)
    run = Connection._run

    def run_and_raise(self, sql, arguments=None):
        if sql == b"ROLLBACK":
            signal.raise_signal(signal.SIGUSR1)
        run(self, sql, arguments)

    monkeypatch.setattr(Connection, "_run", run_and_raise)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("end", ["scope", "cleanup"])
def test_a_time_limit_during_the_rollback_goes_on_when_all_is_given_back(
    manager, limited, witness, end
):
    with pytest.raises(SoftTimeLimit):
        if end == "scope":
            with manager.scope("task"):
                session = Raw("SELECT pg_backend_pid()")().fetchone()[0]
                manager.open()
        else:
            session = Raw("SELECT pg_backend_pid()")().fetchone()[0]
            manager.open()
            manager.cleanup()
    assert in_use(manager) == []

    def is_gone():
        with witness.cursor() as cursor:
            cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [session])
            return cursor.rowcount == 0

    # Nobody knows what its server does, so it serves nobody else.
    until(is_gone)


@pytest.mark.parametrize("end", ["scope", "cleanup"])
def test_a_time_limit_during_each_of_many_rollbacks_keeps_none_of_the_connections(
    manager, limited, end
):
    with pytest.raises(SoftTimeLimit):
        with manager.scope("task"):
            handles = [manager.open() for _ in range(4)]
            for handle in handles:
                handle.execute("SELECT 1")
            if end == "cleanup":
                manager.cleanup()
    assert in_use(manager) == []


def test_an_exception_in_flight_stays_the_one_that_is_raised(manager):
    with pytest.raises(ZeroDivisionError):
        with manager.scope("task"):
            Raw("SELECT 1")()
            raise ZeroDivisionError
    assert in_use(manager) == []


def test_two_threads_that_end_one_scope_give_its_connection_back_once(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0)
    for _ in range(20):
        block = manager.scope("shared")
        block.__enter__()
        Raw("SELECT 1")()
        scope = manager.scopes.current()
        checkouts = list(scope.checkouts.values())
        block.__exit__(None, None, None)
        with manager.scope("next"):
            Raw("SELECT 1")()
            # The second comes late: by now another scope has the connection.
            for checkout in checkouts:
                checkout.pool.release(checkout)
            assert Raw("SELECT 2 AS two")().fetchone()["two"] == 2
            manager.commit()
    assert len(manager.status()) == 1


def test_two_threads_that_end_one_scope_at_once_leave_the_next_scope_alone(
    make_manager, monkeypatch
):
    manager = make_manager(pool_size=1, max_overflow=0)
    transaction, seen = Raw("SELECT txid_current() AS number"), []
    block, next_scope = manager.scope("shared"), manager.scope("next")
    block.__enter__()
    Raw("SELECT 1")()
    (checkout,) = manager.scopes.current().checkouts.values()
    getpid = os.getpid

    def meanwhile():
        # The other thread ends the scope as a whole, and the next scope gets the connection.
        monkeypatch.undo()
        checkout.pool.release(checkout)
        next_scope.__enter__()
        seen.append(transaction().fetchone()["number"])
        return getpid()

    monkeypatch.setattr(os, "getpid", meanwhile)
    checkout.pool.release(checkout)
    assert seen == [transaction().fetchone()["number"]]
    next_scope.__exit__(None, None, None)
    block.__exit__(None, None, None)


def test_a_handle_that_is_dropped_runs_nothing_in_which_python_drops_what_a_signal_raises(manager):
    handles = [manager.open()]
    assert calls_of(handles.clear)[0] == 0


def test_nor_does_a_connection_that_is_freed(dsn):
    connections = [Connection(dsn), Connection(dsn)]
    for connection in connections:
        connection.close()
    del connection
    assert calls_of(connections.clear)[0] == 0


def test_nor_does_a_query_that_is_dropped():
    queries = [Raw("SELECT 1"), Raw("SELECT 2")]
    assert calls_of(queries.clear)[0] == 0


def test_nor_does_a_response_body_that_was_closed(manager):
    bodies = [ManagerMiddleware(lambda environ, start: iter([b"sent"]), manager)({}, None)]
    assert b"".join(bodies[0]) == b"sent"
    bodies[0].close()
    assert calls_of(bodies.clear)[0] == 0
