"""Ctrl-C ends the statement that a script waits for, at once and on the server too."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from time import sleep

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from support import PATIENCE, in_child, in_thread, until

from simpycity_template.process import interrupt

# The statement takes longer than any test waits.
SCRIPT = """
import os, signal, sys, threading
from simpycity.core import Raw
from simpycity_template import get_manager
manager = get_manager("script")
manager.configure({"simpycity.dsn": sys.argv[1]})
PREPARE
try:
    with manager.scope("x"):
        STATEMENT
except KeyboardInterrupt:
    with manager.scope("after"):
        print(Raw("SELECT 'works' AS w")().fetchone()["w"])
"""
SLEEP = 'Raw("SELECT pg_sleep(1000)")()'
# Not one of those that prepare a connection, which are active for a moment.
SLEEPING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'script'"
    " AND state = 'active' AND wait_event IN ('PgSleep', 'advisory')"
)


@pytest.fixture
def sleeping(witness, dsn):
    """The sessions in which a script waits for a statement."""
    name = parse_dsn(dsn)["dbname"]

    def sleeping():
        with witness.cursor() as cursor:
            cursor.execute(SLEEPING, [name])
            return [pid for (pid,) in cursor.fetchall()]

    return sleeping


@pytest.fixture
def script(dsn, sleeping):
    """Starts a script, and waits until its statement is under way."""
    started = []

    def script(statement=SLEEP, prepare="", statements=1, after=""):
        text = SCRIPT.replace("STATEMENT", statement).replace("PREPARE", prepare) + after
        program = subprocess.Popen(
            [sys.executable, "-c", text, dsn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(program)
        until(lambda: len(sleeping()) == statements or program.poll() is not None)
        return program

    yield script
    for program in started:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    "statement",
    [
        SLEEP,
        "manager.handle().conn.cursor().execute('SELECT pg_sleep(1000)')",
        "manager.open(isolation_level=0).execute('SELECT pg_sleep(1000)')",
        "manager.handle().conn.cursor().copy_expert("
        "'COPY (SELECT pg_sleep(1000)) TO STDOUT', sys.stdout)",
    ],
)
def test_ctrl_c_ends_a_statement_at_once_and_the_script_can_go_on(script, sleeping, statement):
    program = script(statement)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out) == (0, "works\n"), err
    assert sleeping() == []


def test_ctrl_c_in_a_script_that_catches_nothing_is_a_keyboard_interrupt(script):
    program = script(prepare=SLEEP)
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=PATIENCE)
    assert err.splitlines()[-1] == "KeyboardInterrupt"


def test_ctrl_c_leaves_the_statements_of_other_threads_alone(script, sleeping):
    prepare = (
        "def work():\n"
        "    with manager.scope('thread'):\n"
        f"        {SLEEP}\n"
        "threading.Thread(target=work, name='other', daemon=True).start()"
    )
    program = script(prepare=prepare, statements=2, after="sys.stdout.flush(); sys.stdin.read()")
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "works\n"
    assert len(sleeping()) == 1
    assert program.poll() is None


def test_a_handler_of_the_application_that_only_takes_note_ends_no_statement(script, dsn):
    with closing(psycopg2.connect(dsn)) as link:
        link.cursor().execute("SELECT pg_advisory_lock(1)")
        program = script(
            'print(Raw("SELECT pg_advisory_lock(1) IS NULL AS x")().fetchone()["x"], noted)',
            "noted = []\nsignal.signal(signal.SIGINT, lambda *args: noted.append('noted'))",
        )
        program.send_signal(signal.SIGINT)
        # Time enough for whoever would cancel the statement, which waits for as long as we do.
        sleep(10 * interrupt.INTERVAL)
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out) == (0, "False ['noted']\n"), err


# --- where nobody listens ---


@pytest.fixture
def listener():
    """The listener of this process, as it was at the end."""
    yield interrupt._listener
    interrupt._listener.pause()
    interrupt._listener.forget()


def test_a_connection_of_the_main_thread_begins_to_listen(manager, listener):
    manager.open()
    assert listener.thread is not None
    manager.cleanup()


def test_a_connection_of_another_thread_does_not(manager, listener):
    listener.forget()

    def work():
        with manager.scope("work"):
            manager.open()

    in_thread(work)
    assert listener.thread is None


def test_who_listens_already_goes_on(manager, listener):
    listener.forget()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        manager.open()
        assert signal.set_wakeup_fd(-1) == writing
        assert listener.thread is None
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)
        manager.cleanup()


GREENLETS = """
import sys
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from simpycity.core import Raw
from simpycity_template import get_manager

manager = get_manager("greenlets")
manager.configure({"simpycity.dsn": sys.argv[1]})
with manager.scope("x"):
    Raw("SELECT 1")()
gevent.sleep(0.01)
print("others run")
"""


def test_where_threads_are_greenlets_none_of_them_stops_the_others(dsn):
    pytest.importorskip("gevent", reason="needs PyPI's gevent")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, dsn], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, "others run\n"), done.stderr


def test_a_fork_meets_no_listening_thread_and_both_processes_listen_again(manager, listener):
    manager.open()

    def child():
        assert listener.thread is None
        assert signal.set_wakeup_fd(-1) == -1
        with manager.scope("child"):
            manager.open()
        assert listener.thread is not None

    assert in_child(child)
    assert listener.thread in threading.enumerate()
    manager.cleanup()
