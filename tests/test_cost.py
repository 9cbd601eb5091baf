"""What a request costs, counted: no timing, so that a slow machine says the same as a fast one.

A bound that is exceeded tells that somebody made each request of everybody dearer. Raise it only
for what is worth that.
"""

import gc
import tracemalloc
from itertools import pairwise

import pytest
from simpycity.core import Function
from support import calls_of
from wire import wire

from simpycity_template.driver import merged_begin as merging

# Of a request with one call: 59 and 59 on Python 3.11, of which the manager and its pool make 38
# and 37. From 3.12 on one fewer.
PYTHON_CALLS, BUILTIN_CALLS = 60, 60
MANAGER_PYTHON_CALLS, MANAGER_BUILTIN_CALLS = 39, 38

# At module level, as an application has it.
lower = Function("lower", ["text"])


@pytest.fixture
def manager(make_manager, monkeypatch):
    # However slow the machine is, its server answered a moment ago, and was looked at just now.
    monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 3600)
    monkeypatch.setattr(merging, "LOOK_BYPASS_WINDOW", 3600)
    return make_manager()


def request(manager, calls=1):
    with manager.scope("GET /"):
        for _ in range(calls):
            lower("A").fetchall()


@pytest.mark.parametrize("calls", [1, 2, 10])
def test_round_trips_are_one_more_than_calls(manager, make_manager, dsn, calls):
    with wire(dsn) as line:
        manager = make_manager(dsn=line.dsn)
        request(manager)
        line.clear()
        request(manager, calls)
        assert line.round_trips == calls + 1


def test_a_scope_that_asks_for_nothing_costs_no_round_trip(make_manager, dsn):
    with wire(dsn) as line:
        manager = make_manager(dsn=line.dsn)
        request(manager, calls=1)
        line.clear()
        request(manager, calls=0)
        assert line.round_trips == 0


def test_the_calls_of_a_request(manager):
    for _ in range(3):
        request(manager)
    python, builtin = calls_of(lambda: request(manager))
    assert python <= PYTHON_CALLS
    assert builtin <= BUILTIN_CALLS


def test_the_calls_that_the_manager_adds(manager):
    def nothing_but_a_connection():
        with manager.scope("GET /"):
            manager.checkout(manager.handle())

    for _ in range(3):
        nothing_but_a_connection()
    python, builtin = calls_of(nothing_but_a_connection)
    assert python <= MANAGER_PYTHON_CALLS
    assert builtin <= MANAGER_BUILTIN_CALLS


def test_what_each_request_looks_up_has_slots(manager):
    # On an object of psycopg2's Python finds what has none several times more slowly.
    with manager.scope("GET /"):
        hold = manager.checkout(manager.handle())
        for thing in (hold.link, hold, manager.scopes.current()):
            assert not hasattr(thing, "__dict__"), type(thing)


def test_requests_leave_no_memory_behind(manager):
    def requests():
        for _ in range(500):
            request(manager)

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        requests()
        kept = [tracemalloc.get_traced_memory()[0]]
        for _ in range(4):
            requests()
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    # Less than ten bytes each: what is kept does not grow with the requests. Once in a while
    # something else of the interpreter does, such as a dictionary that becomes larger.
    assert min(after - before for before, after in pairwise(kept)) < 5000
