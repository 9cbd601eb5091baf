"""A scope that changed rows and did not commit them is logged, and costs no round trip more."""

import logging
import re

import pytest
from simpycity.core import Function, Raw
from wire import wire

from simpycity_template.driver import merged_begin as merging
from simpycity_template.middleware import ManagerMiddleware

add = Function("add_note", ["title"])
read = Raw("SELECT title FROM note")
lock = Raw("SELECT title FROM note FOR UPDATE")

SCHEMA = """
CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY, title text);
CREATE FUNCTION add_note(title text) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO note (title) VALUES (title), (title) $$;
"""


@pytest.fixture
def manager(make_manager):
    manager = make_manager(log_lost_writes="true")
    with manager.transaction():
        manager.handle().execute(SCHEMA)
    manager.cleanup()
    return manager


@pytest.fixture
def logged(manager, caplog):
    caplog.set_level(logging.INFO, "simpycity_template")
    return lambda: [record.getMessage() for record in caplog.records]


def test_rows_that_a_function_changed_are_told_with_the_scope_and_the_code_lines(manager, logged):
    with manager.scope("POST /notes"):
        add("Milk")
        read()
    (said,) = logged()
    assert said.startswith("scope 'POST /notes' changed 2 rows of note and was rolled back")
    here = r"\S*test_lost_writes\.py:\d+ in test_rows_that_a_function_changed\w*"
    assert re.search(f"its statements are at {here}, {here} ", said)


def test_rows_of_several_tables_and_of_temporary_ones(manager, logged):
    with manager.transaction():
        manager.handle().execute('CREATE TABLE "my list" (item text)')
    with manager.scope("x"):
        run = manager.handle().execute
        run("CREATE TEMPORARY TABLE scratch AS SELECT 1 AS one")
        run("INSERT INTO scratch VALUES (2)")
        run("INSERT INTO \"my list\" VALUES ('Milk')")
        run("INSERT INTO note (title) VALUES ('Milk'), ('Bread')")
        run("DELETE FROM note WHERE title = 'Milk'")
    (said,) = logged()
    assert "'x' changed 1 row of \"my list\", 3 rows of note and was rolled back" in said


def test_a_message_of_the_application_is_not_taken_for_ours(manager, logged):
    with manager.scope("x"):
        manager.handle().execute(
            """DO $$ BEGIN RAISE NOTICE 'simpycity_template changed {"note": 1}'; END $$"""
        )
    assert logged() == []


def test_what_psycopg2_itself_began_is_told_as_well(manager, logged):
    with manager.scope("x"):
        manager.handle().conn.cursor().execute("INSERT INTO note (title) VALUES ('Milk')")
    (said,) = logged()
    assert "changed 1 row of note" in said
    assert "in test_what_psycopg2_itself_began" in said


def test_the_lines_are_those_of_the_open_transaction(manager, logged):
    def committed():
        # Its rows do not count either.
        add("Milk")
        manager.commit()

    def forgotten():
        add("Bread")

    with manager.scope("x"):
        committed()
        forgotten()
    (said,) = logged()
    assert "changed 2 rows of note " in said
    assert "in forgotten " in said
    assert "in committed" not in said


def commits(manager):
    add("Milk")
    manager.commit()
    read()


def rolls_back(manager):
    add("Milk")
    manager.rollback()


def only_reads(manager):
    read()


def only_locks_rows(manager):
    lock()


def fails_in_the_database(manager):
    add("Milk")
    with pytest.raises(Exception, match="division by zero"):
        Raw("SELECT 1 / 0")()


def changes_no_row(manager):
    manager.handle().execute("DELETE FROM note WHERE title = 'none such'")


def commits_each_statement(manager):
    manager.open(isolation_level=0).execute("INSERT INTO note (title) VALUES ('Milk')")


@pytest.mark.parametrize(
    "work",
    [
        commits,
        rolls_back,
        only_reads,
        only_locks_rows,
        fails_in_the_database,
        changes_no_row,
        commits_each_statement,
    ],
)
def test_nothing_is_said_where_a_scope(manager, logged, work):
    with manager.scope("x"):
        work(manager)
    assert logged() == []


def test_nothing_is_said_where_a_scope_ends_by_an_exception(manager, logged):
    with pytest.raises(LookupError), manager.scope("x"):
        add("Milk")
        raise LookupError
    assert logged() == []


def answer(manager, status, clean_up=False, stream=False):
    """A request that writes, does not commit, and is answered with ``status``."""

    def application(environ, start_response):
        add("Milk")
        if clean_up:
            # As the finally of a generated project's controller does, before anybody has answered.
            manager.cleanup()
        start_response(status, [])
        return iter([b"page"]) if stream else [b"page"]

    environ = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/notes"}
    return list(ManagerMiddleware(application, manager)(environ, lambda *rest: None))


@pytest.mark.parametrize("form", [{}, {"clean_up": True}, {"stream": True}], ids=str)
def test_a_request_is_told_of_unless_it_is_answered_with_an_error(manager, logged, form):
    for status in ("404 Not Found", "500 Internal Server Error"):
        answer(manager, status, **form)
        assert logged() == []
    for number, status in enumerate(("200 OK", "303 See Other"), 1):
        answer(manager, status, **form)
        assert len(logged()) == number
        assert "'POST /notes' changed 2 rows of note" in logged()[-1]


def test_nothing_is_said_where_an_exception_leaves_a_request_after_its_cleanup(manager, logged):
    def application(environ, start_response):
        try:
            raise LookupError
        except LookupError:
            add("Milk")
        manager.cleanup()
        raise ZeroDivisionError

    environ = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/notes"}
    with pytest.raises(ZeroDivisionError):
        ManagerMiddleware(application, manager)(environ, lambda *rest: None)
    assert logged() == []


def test_it_is_off_by_default_and_can_be_switched_off(make_manager, manager, logged):
    make_manager(name=manager.name)
    with manager.scope("x"):
        add("Milk")
        assert manager.current.pool.owners()[0].connection.statements is None
    assert logged() == []


def test_it_costs_no_round_trip_more(make_manager, manager, dsn, logged, monkeypatch):
    # However slow the machine is, its server answered a moment ago.
    monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 3600)
    with wire(dsn) as line:
        manager = make_manager(dsn=line.dsn, log_lost_writes="true")
        for _ in range(2):
            line.clear()
            with manager.scope("x"):
                add("Milk")
        # The statement, with its BEGIN, and the ROLLBACK.
        assert line.round_trips == 2
    # What was rolled back before does not count.
    assert [said for said in logged() if "changed 2 rows" in said] == logged()[-2:]
