"""The simulation of the page on sizing: against the textbook, and against a real pool."""

import subprocess
import sys
import threading
from heapq import heappop, heappush
from queue import SimpleQueue
from random import Random

import pytest
from pages import ROOT, blocks, typed
from serving import on_page
from support import PATIENCE, until, without_reader

from simpycity_template.sizing import Request, main, requests, simulate


@pytest.mark.process
def test_the_command_on_the_page_prints_what_the_page_shows():
    (console,) = blocks("docs/sizing.rst", "console")
    (command,) = typed(console.text)
    python, *arguments = command.split()
    assert python == "python"
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout == on_page("output", "sizing.rst")


@pytest.mark.process
def test_a_reader_of_a_pipe_may_have_had_enough():
    arguments = ["--rate=1", "--query-time=1"]
    done = without_reader([sys.executable, "-m", "simpycity_template.sizing", *arguments])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_it_agrees_with_erlangs_formula():
    # Four connections, three busy in the mean: the chance to wait is Erlang's C, 0.5094.
    arriving = requests(rate=60, query_time=0.05, seconds=2000, random=Random(1))
    outcome = simulate(arriving, pool=4, threads=10**6, timeout=10**6)
    assert outcome.mean_wait == pytest.approx(0.5094 / (4 / 0.05 - 60), rel=0.1)
    assert outcome.held / 2000 == pytest.approx(3, rel=0.05)
    assert outcome.timeouts == 0


def test_nobody_waits_for_a_connection_where_each_thread_has_one():
    arriving = requests(rate=1000, query_time=0.05, seconds=20, random=Random(1))
    assert simulate(arriving, pool=4, threads=4).mean_wait == 0


def test_it_says_where_the_server_does_not_allow_so_many(capsys):
    load = ["--rate", "10", "--query-time", "0.01", "--seconds", "1"]
    assert main([*load, "--processes", "20", "--pool", "5"]) == 1
    assert "100 connections are more than the server allows" in capsys.readouterr().err
    assert main([*load, "--processes", "12"]) == 0


def test_it_says_where_the_load_is_more_than_the_threads_and_connections_can_do(capsys):
    load = ["--rate", "20", "--query-time", "1", "--seconds", "60", "--processes", "2"]
    for few in (["--threads", "1"], ["--pool", "1"]):
        assert main([*load, *few, "--timeout", "1000000"]) == 1
        said = capsys.readouterr()
        assert "need 20 connections in the mean, and can use 2" in said.err
        assert "in use             100% of these" in said.out
    assert main([*load, "--threads", "15"]) == 0


def test_the_wait_for_a_thread_is_told_apart_from_that_for_a_connection():
    arriving = [Request(arrival=0.0, hold=2.0), Request(arrival=0.5, hold=1.0)]
    assert simulate(arriving, pool=2, threads=1).thread_waits == [0.0, 1.5]
    assert simulate(arriving, pool=1, threads=2).thread_waits == [0.0, 0.0]
    assert simulate(arriving, pool=1, threads=2).waits == [0.0, 1.5]


@pytest.mark.parametrize("wrong", [["--rate", "0"], ["--pool", "1.5"], ["--timeout", "inf"]])
def test_a_wrong_number_is_named(capsys, wrong):
    with pytest.raises(SystemExit):
        main(["--rate", "1", "--query-time", "1", *wrong])
    assert f"argument {wrong[0]}: invalid positive" in capsys.readouterr().err


def test_who_gives_up_waits_for_the_timeout_and_takes_no_connection():
    arriving = [Request(0.0, hold=5.0), Request(1.0, hold=1.0), Request(4.0, hold=1.0)]
    outcome = simulate(arriving, pool=1, threads=3, timeout=2.0)
    assert (outcome.waits, outcome.timeouts) == ([0.0, 2.0, 1.0], 1)


def test_it_agrees_with_a_real_pool_request_by_request(make_manager):
    # The threads are real and the time is not: each comes and goes at its turn.
    manager = make_manager(pool_size=3, max_overflow=0, pool_timeout=PATIENCE)
    arriving = requests(rate=32, query_time=0.1, seconds=5, random=Random(3))
    leave = [threading.Event() for _ in arriving]
    served, waits = SimpleQueue(), []

    def visit(number):
        with manager.scope(str(number)):
            manager.handle().begin()
            served.put(number)
            leave[number].wait(PATIENCE)

    visitors = [threading.Thread(target=visit, args=[n]) for n in range(len(arriving))]
    events = [(request.arrival, n, "comes") for n, request in enumerate(arriving)]
    while events:
        now, number, what = heappop(events)
        waiting = len(manager.waiting())
        if what == "comes":
            visitors[number].start()
            until(lambda known=waiting: not served.empty() or len(manager.waiting()) > known)
        else:
            leave[number].set()
            visitors[number].join(PATIENCE)
            until(lambda known=waiting: not known or not served.empty())
        if not served.empty():
            number = served.get()
            waits.append(now - arriving[number].arrival)
            heappush(events, (now + arriving[number].hold, number, "goes"))

    outcome = simulate(arriving, pool=3, threads=len(arriving), timeout=PATIENCE)
    assert waits == pytest.approx(outcome.waits)
    assert outcome.mean_wait > 0.01
