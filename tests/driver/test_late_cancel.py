"""A cancel that comes late ends no statement of another scope."""

import threading

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from simpycity.core import Raw
from support import PATIENCE, until

from simpycity_template.driver import all_connections, terminate

LOCKED = """SELECT pid FROM pg_stat_activity
 WHERE datname = %s AND wait_event = 'advisory' AND query LIKE '%%(' || %s || ')%%'"""
lock = Raw("SELECT pg_advisory_lock(%s)", ["key"])


@pytest.fixture
def gate(dsn):
    """Holds an advisory lock; says who waits for it."""
    link = psycopg2.connect(dsn)
    link.autocommit = True

    class Gate:
        def run(self, sql, *arguments):
            with link.cursor() as cursor:
                cursor.execute(sql, arguments)
                return cursor.fetchall()

        def waits(self, key):
            return self.run(LOCKED, parse_dsn(dsn)["dbname"], key)

        def open(self, key):
            self.run("SELECT pg_advisory_unlock(%s)", key)

    gate = Gate()
    gate.run("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")
    yield gate
    link.close()


def test_ctrl_c_that_finds_its_statement_done_ends_no_statement_of_the_next_scope(
    make_manager, gate, monkeypatch
):
    manager = make_manager(pool_size=1, max_overflow=0)
    decided = threading.Event()
    answers = terminate._server_answers

    def late(connection, deadline):
        # Here the statement was found under way, and is not cancelled yet.
        decided.set()
        until(lambda: gate.waits(2))
        return answers(connection, deadline)

    def interrupt():
        until(lambda: gate.waits(1))
        # libpq notes that a statement is under way a moment after it was sent.
        until(lambda: all_connections.cancel_in_main_thread(lambda: True) or decided.is_set())
        gate.open(2)

    def release():
        decided.wait(PATIENCE)
        gate.open(1)

    monkeypatch.setattr(terminate, "_server_answers", late)
    threads = [threading.Thread(target=work) for work in (interrupt, release)]
    for thread in threads:
        thread.start()
    with manager.scope("interrupted"):
        lock(1)
    with manager.scope("next"):
        lock(2)
        assert Raw("SELECT 'works' AS it")().fetchone()["it"] == "works"
    for thread in threads:
        thread.join(PATIENCE)


def test_a_connection_that_somebody_cancels_is_given_back_afterwards(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0)
    given_back = threading.Event()

    def work():
        with manager.scope("scope"):
            Raw("SELECT 1")()
            used.set()
            ends.wait(PATIENCE)
        given_back.set()

    def due():
        ends.set()
        # It has no owner any more, and nobody else has it yet.
        until(lambda: connection.owner is None)
        assert not given_back.is_set()
        assert manager.metrics().idle == 0
        return False

    used, ends = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    used.wait(PATIENCE)
    (owner,) = manager.current.pool.owners()
    connection = owner.connection
    assert terminate.cancel(connection, terminate.terminate_deadline(), due)
    thread.join(PATIENCE)
    assert given_back.is_set()
