"""The simulation of the page on sizing: against the textbook, and against a real pool."""

import subprocess
import sys
import threading
import time
from random import Random

import pytest
from pages import ROOT, blocks, typed
from serving import on_page
from simpycity.core import Raw
from support import without_reader

from simpycity_template import PoolTimeout
from simpycity_template.sizing import Request, main, requests, simulate


def test_the_command_on_the_page_prints_what_the_page_shows():
    (console,) = blocks("docs/sizing.rst", "console")
    (command,) = typed(console.text)
    python, *arguments = command.split()
    assert python == "python"
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout == on_page("output", "sizing.rst")


def test_a_reader_of_a_pipe_may_have_had_enough():
    arguments = ["--rate=1", "--query-time=1"]
    done = without_reader([sys.executable, "-m", "simpycity_template.sizing", *arguments])
    assert (done.returncode, done.stderr) == (0, "")


def test_it_agrees_with_erlangs_formula():
    # Four connections, three busy in the mean: the chance to wait is Erlang's C, 0.5094.
    arriving = requests(rate=60, query_time=0.05, seconds=5000, random=Random(1))
    outcome = simulate(arriving, pool=4, threads=10**6, timeout=10**6)
    assert outcome.mean_wait == pytest.approx(0.5094 / (4 / 0.05 - 60), rel=0.1)
    assert outcome.held / 5000 == pytest.approx(3, rel=0.05)
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


def test_it_agrees_with_a_real_pool_request_by_request(make_manager):
    pool, timeout = 3, 0.25
    manager = make_manager(pool_size=pool, max_overflow=0, pool_timeout=timeout)
    sleep = Raw("SELECT pg_sleep(%s)", ["seconds"])
    began = time.monotonic()
    happened, waits, timeouts = [], [], []

    def visit(planned):
        asked = time.monotonic()
        got, hold = None, planned.hold
        try:
            with manager.scope("visit"):
                manager.handle().begin()
                got = time.monotonic()
                sleep(planned.hold)
        except PoolTimeout:
            timeouts.append(planned)
            waits.append(timeout)
        else:
            # With what the machine adds to it: that is not what is compared.
            hold = time.monotonic() - got
            waits.append(got - asked)
        happened.append(Request(asked - began, hold))

    visitors = []
    for planned in requests(rate=32, query_time=0.1, seconds=5, random=Random(3)):
        time.sleep(max(0, began + planned.arrival - time.monotonic()))
        visitors.append(threading.Thread(target=visit, args=[planned]))
        visitors[-1].start()
    for visitor in visitors:
        visitor.join()

    happened.sort(key=lambda request: request.arrival)
    outcome = simulate(happened, pool, threads=len(visitors), timeout=timeout)
    assert outcome.timeouts > 0
    assert len(timeouts) / len(visitors) == pytest.approx(outcome.timeout_share, abs=0.08)
    assert sum(waits) / len(waits) == pytest.approx(outcome.mean_wait, rel=0.2, abs=0.02)
