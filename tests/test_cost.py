"""What a request costs, counted: no timing, so that a slow machine says the same as a fast one.

A bound that is exceeded tells that somebody made each request of everybody dearer. Raise it only
for what is worth that.
"""

import gc
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from itertools import groupby, pairwise

import pytest
import simpycity
from simpycity.core import Function
from support import calls_of
from wire import wire

import simpycity_template
from simpycity_template.driver import merged_begin as merging

# Of a request with one call, 47 and 57 on Python 3.11, of which the manager and its pool make 27
# and 32.
PYTHON_CALLS, BUILTIN_CALLS = 47, 57
MANAGER_PYTHON_CALLS, MANAGER_BUILTIN_CALLS = 27, 32

# Of one call, fetchall() and cleanup(), in Simpycity's and this package's files.
OUR_CALLS, FILE_CHANGES = 34, 21

# On Python 3.11, with a few in a hundred to spare; what the server does is not counted.
SCOPE_INSTRUCTIONS, REQUEST_INSTRUCTIONS = 55_500, 136_000

# How many scopes and requests valgrind counts, so that what else there is does not weigh.
TIMES = 200

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


def test_the_functions_and_files_that_a_call_passes_through(manager):
    ours = tuple(os.path.dirname(one.__file__) for one in (simpycity, simpycity_template))

    def called():
        lower("A").fetchall()
        manager.cleanup()

    for _ in range(3):
        called()
    files = []

    def profile(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(ours):
            files.append(frame.f_code.co_filename)

    gc.disable()
    sys.setprofile(profile)
    try:
        called()
    finally:
        sys.setprofile(None)
        gc.enable()
    assert len(files) <= OUR_CALLS
    assert len(list(groupby(files))) - 1 <= FILE_CHANGES


COUNTED = f"""
import gc, os, subprocess, sys
from simpycity.core import Function
from simpycity_template import get_manager
from simpycity_template.driver import merged_begin

merged_begin.ALIVE_BYPASS_WINDOW = merged_begin.LOOK_BYPASS_WINDOW = 3600
manager = get_manager("cost")
manager.configure({{"simpycity.dsn": sys.argv[1]}})
lower = Function("lower", ["text"])

def scope():
    with manager.scope("GET /"):
        manager.checkout(manager.handle())

def request():
    with manager.scope("GET /"):
        lower("A").fetchall()

def tell():
    # At the end of a child valgrind tells how many instructions there were until then.
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

gc.disable()
# Counting makes all slower, and what was imported until here is not what is counted. Valgrind
# takes commands of another process only while this one works.
begin = subprocess.Popen(["vgdb", f"--pid={{os.getpid()}}", "instrumentation on"])
while begin.poll() is None:
    pass
for work in (scope, request):
    for times in (25, {TIMES}):
        for _ in range(times):
            work()
        tell()
"""


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind counts the instructions")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="they were counted on Python 3.11")
def test_the_instructions_of_a_scope_and_of_a_request(dsn):
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    done = subprocess.run(
        [*valgrind, "--callgrind-out-file=/dev/null", sys.executable, "-c", COUNTED, dsn],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, done.stderr
    counts = [int(count) for count in re.findall(r"Collected : (\d+)", done.stderr)]
    scope, request = ((counts[at + 1] - counts[at]) / TIMES for at in (0, 2))
    # A count of nothing would be within any bound.
    assert SCOPE_INSTRUCTIONS / 2 < scope <= SCOPE_INSTRUCTIONS
    assert REQUEST_INSTRUCTIONS / 2 < request <= REQUEST_INSTRUCTIONS


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
