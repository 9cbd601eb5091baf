"""A test and the requests it makes share one connection, and nothing of it is left."""

import threading
import unittest

import psycopg2
import pytest
from limits import at_each_moment
from psycopg2.extensions import parse_dsn
from simpycity.core import Raw
from support import PATIENCE, in_thread, until

from simpycity_template import PoolTimeout
from simpycity_template.middleware import ManagerMiddleware
from simpycity_template.testing import TransactionPerTest, rolled_back

add = Raw("INSERT INTO note VALUES (%s)", ["title"])
titles = Raw("SELECT title FROM note ORDER BY title")


def seen():
    return [row["title"] for row in titles().fetchall()]


@pytest.fixture
def manager(make_manager, rows):
    """A manager of a database with an empty table."""
    rows("CREATE TABLE note (title text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    return make_manager(pool_timeout=2)


@pytest.fixture
def rows(server, dsn):
    """Asks the database, beside the manager; one value a row."""

    def rows(query):
        link = server.connect(parse_dsn(dsn)["dbname"])
        try:
            with link.cursor() as cursor:
                cursor.execute(query)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
        finally:
            link.close()

    return rows


@pytest.fixture
def transaction(manager, rows):
    """The block is around the test."""
    with rolled_back(manager):
        yield
    manager.cleanup()
    assert rows("SELECT title FROM note") == []
    assert seen() == []


def request(manager, work, label="GET /"):
    """What a request does, in a scope of its own."""
    with manager.scope(label):
        return work()


def test_a_commit_is_seen_by_the_test_and_gone_at_its_end(manager, transaction, rows):
    def work():
        add("a")
        manager.commit()

    request(manager, work)
    assert seen() == ["a"]
    assert rows("SELECT title FROM note") == []


def test_what_a_request_did_not_commit_is_gone_at_its_end(manager, transaction):
    request(manager, lambda: add("a"))
    assert seen() == []


def test_what_the_test_wrote_is_seen_by_its_request_which_waits_for_nothing(manager, transaction):
    add("a")
    assert request(manager, seen) == ["a"]
    request(manager, lambda: Raw("UPDATE note SET title = 'b'")())
    assert seen() == ["a"]


def test_a_rollback_of_a_request_leaves_what_came_before(manager, transaction):
    def work():
        add("b")
        manager.commit()
        add("c")
        manager.rollback()
        add("d")
        manager.commit()

    add("a")
    request(manager, work)
    assert seen() == ["a", "b", "d"]
    manager.rollback()
    # As with a connection of its own, what the request has committed stays.
    assert seen() == ["a", "b", "d"]


def test_a_request_that_fails_leaves_the_test_its_transaction(manager, transaction):
    add("a")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        request(manager, lambda: Raw("SELECT 1 / 0")())
    assert seen() == ["a"]


def test_a_statement_of_the_test_that_failed_does_not_fail_its_request(manager, transaction):
    with pytest.raises(psycopg2.errors.DivisionByZero):
        Raw("SELECT 1 / 0")()
    assert request(manager, seen) == []


def test_a_failed_transaction_is_not_committed(manager, transaction):
    def work():
        add("a")
        with pytest.raises(psycopg2.errors.DivisionByZero):
            Raw("SELECT 1 / 0")()
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            manager.commit()
        manager.rollback()
        add("b")
        manager.commit()

    request(manager, work)
    assert seen() == ["b"]


def test_transaction_blocks_and_savepoints_are_as_ever(manager, transaction):
    def work():
        with manager.transaction():
            add("a")
            with pytest.raises(ZeroDivisionError), manager.transaction():
                add("b")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), manager.transaction():
            add("c")
            raise ZeroDivisionError

    request(manager, work)
    assert seen() == ["a"]


def test_a_constraint_that_is_checked_at_commit_is_checked(manager, transaction):
    def work():
        add("a")
        add("a")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            manager.commit()
        add("b")
        manager.commit()
        add("b")
        Raw("DELETE FROM note WHERE ctid = (SELECT max(ctid) FROM note)")()
        manager.commit()

    request(manager, work)
    assert seen() == ["b"]


def test_a_handle_in_autocommit_mode_keeps_what_it_wrote(manager, transaction):
    def work():
        handle = manager.open(isolation_level=0)
        handle.execute("INSERT INTO note VALUES ('a')")
        handle.close()
        add("b")

    request(manager, work)
    assert seen() == ["a"]


def test_one_more_handle_has_a_transaction_of_its_own(manager, transaction):
    def work():
        add("a")
        other = manager.open()
        other.execute("INSERT INTO note VALUES ('b')")
        other.rollback()
        other.close()
        manager.commit()

    request(manager, work)
    assert seen() == ["a"]


def test_settings_of_a_request_do_not_reach_the_next(manager, transaction):
    request(manager, lambda: Raw("SET statement_timeout = 1000")())
    timeout = Raw("SHOW statement_timeout")
    assert request(manager, lambda: timeout().fetchone()[0]) == "0"


def test_requests_of_threads_come_one_after_the_other(manager, transaction):
    add("a")

    def work(number):
        add(f"b{number}")
        manager.commit()
        add(f"c{number}")

    threads = [
        threading.Thread(target=request, args=[manager, lambda n=number: work(n)])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen() == ["a"] + [f"b{number}" for number in range(8)]


def test_a_thread_that_would_wait_for_ever_gets_an_error_that_names_who_has_it(
    manager, transaction
):
    entered, leave = threading.Event(), threading.Event()

    def work():
        add("a")
        entered.set()
        leave.wait()

    thread = threading.Thread(target=request, args=[manager, work, "GET /slow"], name="slow")
    thread.start()
    assert entered.wait(PATIENCE)
    try:
        for wait in (seen, lambda: in_thread(lambda: request(manager, seen))):
            with pytest.raises(PoolTimeout) as error:
                wait()
            said = str(error.value)
            assert "which thread 'slow', scope 'GET /slow', has taken at" in said
            assert f"{__file__}:" in said
            assert "threads use it one after the other" in said
    finally:
        leave.set()
        thread.join()
    assert seen() == []


def test_a_thread_that_goes_without_cleanup_gives_it_back(manager, transaction):
    in_thread(lambda: add("a"))
    until(lambda: len([one for one in manager.status() if one.thread != "MainThread"]) == 0)
    assert seen() == []


def test_a_commit_that_is_written_as_sql_is_an_error(manager, rows):
    with rolled_back(manager), pytest.raises(psycopg2.ProgrammingError, match="written as SQL"):
        add("a")
        Raw("COMMIT")()
        seen()
    assert rows("SELECT title FROM note") == ["a"]


def test_the_connection_is_open_while_somebody_has_it(manager, transaction):
    seen()
    assert len(manager.status()) == 1


def test_middleware_and_its_application_share_the_connection_of_the_test(manager, transaction):
    def application(environ, start_response):
        add("b")
        manager.commit()
        start_response("200 OK", [])
        return [",".join(seen()).encode()]

    add("a")
    webtest = pytest.importorskip("webtest")
    app = webtest.TestApp(ManagerMiddleware(application, manager), lint=False)
    assert app.get("/").body == b"a,b"
    assert seen() == ["a", "b"]


def test_each_test_of_a_case_begins_with_the_same_rows(manager, rows):
    class Example(TransactionPerTest, unittest.TestCase):
        def setUp(self):
            self.manager = manager
            super().setUp()

        def test_one(self):
            for title in ("a", "b"):
                with self.subTest(title):
                    add(title)
                    self.manager.commit()
                    self.assertIn(title, seen())
            self.assertEqual(seen(), ["a", "b"])

        def test_two(self):
            self.test_one()

        def tearDown(self):
            self.assertEqual(seen(), ["a", "b"])

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Example).run(result)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert rows("SELECT title FROM note") == []


def test_a_time_limit_leaves_the_manager_as_it_was_before_the_block(manager, rows):
    def work(block):
        with block(), rolled_back(manager):
            add("in the block")
            manager.commit()

    files = "testing/__init__.py", "testing/transaction_pool.py", "checkouts.py", "current.py"
    for _ in at_each_moment(work, *files):
        add("afterwards")
        manager.commit()
        manager.cleanup()
        assert rows("DELETE FROM note RETURNING title") == ["afterwards"]
