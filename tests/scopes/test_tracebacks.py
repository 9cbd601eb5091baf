"""The traceback of an SQL error ends with the application's line, when it leaves its scope."""

import logging
import sys
import traceback

import psycopg2
import pytest
from simpycity.core import Function, Raw
from simpycity.model import SimpleModel

from simpycity_template import PoolTimeout
from simpycity_template.log_format import Formatter


class Note(SimpleModel):
    table = ("id",)
    __load__ = Function("get_note", ["id"])


def last_line(error):
    """The innermost frame of an error's traceback."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return frame.filename, frame.name


def call_a_function(manager):
    Function("get_note", ["id"])(1)


def load_a_model(manager):
    Note(1)


def use_a_cursor(manager):
    manager.handle().cursor().callproc("get_note", [1])


def commit_a_block(manager):
    with manager.transaction():
        manager.handle().execute(
            "CREATE TEMPORARY TABLE one (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
            "INSERT INTO one VALUES (1), (1)"
        )


WORK = [call_a_function, load_a_model, use_a_cursor, commit_a_block]


@pytest.mark.parametrize("work", WORK)
def test_after_an_sql_error_the_last_frame_is_the_applications(manager, work):
    with pytest.raises(psycopg2.Error) as raised, manager.scope("x"):
        work(manager)
    assert last_line(raised.value) == (__file__, work.__name__)


def test_after_cleanup_the_last_frame_is_the_applications(manager):
    with pytest.raises(psycopg2.Error) as raised:
        try:
            call_a_function(manager)
        finally:
            manager.cleanup()
    assert last_line(raised.value) == (__file__, "call_a_function")


def test_an_error_that_was_caught_and_turned_into_another_is_shortened_as_well(manager):
    def turn():
        try:
            call_a_function(manager)
        except psycopg2.Error:
            raise LookupError("no note") from None

    with pytest.raises(LookupError) as raised, manager.scope("x"):
        turn()
    assert last_line(raised.value) == (__file__, "turn")
    assert last_line(raised.value.__context__) == (__file__, "call_a_function")


def test_the_log_ends_with_the_applications_line_also_where_the_scope_goes_on(manager):
    with manager.scope("x"):
        try:
            call_a_function(manager)
        except psycopg2.Error:
            record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
        frames = [line for line in Formatter().format(record).splitlines() if "File " in line]
    assert len(frames) == 2
    assert frames[-1].endswith("in call_a_function")


def test_where_all_connections_are_in_use_the_last_frame_is_the_applications(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=0)

    def ask():
        held = manager.open()
        manager.open()
        assert held

    with pytest.raises(PoolTimeout) as raised, manager.scope("x"):
        ask()
    assert last_line(raised.value) == (__file__, "ask")


def test_other_errors_keep_all_their_frames(manager):
    with pytest.raises(TypeError) as raised, manager.scope("x"):
        Raw("SELECT 1")()
        Function("get_note", ["id"])(number=1)
    assert last_line(raised.value)[0] != __file__
