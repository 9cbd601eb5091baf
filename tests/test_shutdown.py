"""The end of a process: every session is closed politely, also those in the middle of something."""

import os
import re
import signal
import subprocess
import sys
import threading
from socket import create_connection

import psycopg2
import pytest
import servers
from projects import PASTER, answers
from psycopg2.errors import QueryCanceled
from simpycity.core import Raw
from support import PATIENCE, backend, free_port, in_use, until

from simpycity_template import TransactionLost

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Threads that hold connections in every state, and a main thread that ends in the given way.
PROGRAM = """
import os, select, signal, sys, threading, time
import psycopg2
from simpycity.core import Raw
from simpycity_template import get_manager

signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
manager = get_manager("ending")
manager.configure({"simpycity.dsn": sys.argv[1]})
unpooled = get_manager("ending, unpooled")
unpooled.configure({"simpycity.dsn": sys.argv[1], "simpycity.pool_size": 0}, default=False)
busy = threading.Barrier(6)

def sleeping():
    manager.handle().conn
    busy.wait()
    Raw("SELECT pg_sleep(1000)")()

def in_transaction():
    Raw("INSERT INTO seen VALUES (1)")()
    busy.wait()
    time.sleep(1000)

def in_a_loop():
    busy.wait()
    while True:
        Raw("SELECT 1")()
        manager.cleanup()

def in_one_scope():
    busy.wait()
    while True:
        try:
            Raw("SELECT 1")()
        except psycopg2.Error:
            manager.rollback()

def connecting():
    busy.wait()
    while True:
        Raw("SELECT 1")(options={"handle": unpooled.handle()})
        unpooled.cleanup()

for work in (sleeping, in_transaction, in_a_loop, in_one_scope, connecting):
    threading.Thread(target=work, daemon=True).start()
busy.wait()
Raw("INSERT INTO seen VALUES (1)")()
print("ready", flush=True)
# A signal that comes on the way into a wait does not end that wait; so each is short.
while not select.select([sys.stdin], [], [], 0.1)[0]:
    pass
"""

ENDS = {
    "return": "",
    "exception": "raise ZeroDivisionError",
    "sys.exit": "sys.exit(3)",
    "Ctrl-C": "",
    "SIGTERM that exits": "",
}
SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'ending%'"
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM that exits": signal.SIGTERM}


@pytest.fixture(scope="module")
def own_server():
    with servers.own_server("log_min_messages = debug1\nlog_disconnections = on") as server:
        server.query("CREATE TABLE seen (n int)")
        yield server


@pytest.mark.parametrize("end", ENDS)
def test_however_a_program_ends_its_sessions_are_closed_politely(own_server, end):
    log = own_server.cluster / "log"
    before = log.stat().st_size
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + ENDS[end], own_server.dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    until(lambda: own_server.query(SESSIONS + " AND query LIKE '%pg_sleep(1000)'"))
    if end in SIGNALS:
        process.send_signal(SIGNALS[end])
        process.communicate(timeout=PATIENCE)
    else:
        process.communicate("go on\n", timeout=PATIENCE)
    until(lambda: not own_server.query(SESSIONS))
    assert own_server.query("SELECT count(*) FROM seen") == [(0,)]
    assert impolite(log, before) == []


FROZEN = """
import sys, threading
from simpycity.core import Raw
from simpycity_template import get_manager

manager = get_manager("frozen")
manager.configure({"simpycity.dsn": sys.argv[1]})
# Python itself aborts where a daemon thread is writing its traceback at that moment.
threading.excepthook = lambda failed: None
threading.Thread(target=Raw("SELECT pg_sleep(1000)"), daemon=True).start()
sys.stdin.readline()
"""


def test_a_server_that_does_not_answer_holds_the_end_up_for_seconds_only(own_server):
    # psycopg2's cancel() would wait for it, and let no other thread run.
    process = subprocess.Popen(
        [sys.executable, "-c", FROZEN, own_server.dsn], stdin=subprocess.PIPE, text=True
    )
    sleeping = "pg_stat_activity WHERE application_name = 'frozen' AND query LIKE '%pg_sleep(1000)'"
    until(lambda: own_server.query(f"SELECT 1 FROM {sleeping}"))
    postmaster = int((own_server.cluster / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        process.communicate("go on\n", timeout=PATIENCE)
    finally:
        process.kill()
        os.kill(postmaster, signal.SIGCONT)
    assert process.returncode == 0
    own_server.query(f"SELECT pg_terminate_backend(pid, 5000) FROM {sleeping}")


def impolite(log, before):
    """What the server's log says after ``before`` of clients that left without a goodbye."""
    with log.open() as lines:
        lines.seek(before)
        return re.findall(
            r".*(?:unexpected EOF|could not receive|could not send|connection to client lost).*",
            lines.read(),
        )


APPLICATION = """
from simpycity.core import Raw
from simpycity_template import get_manager
from simpycity_template.middleware import ManagerMiddleware

def application(environ, start_response):
    Raw("INSERT INTO seen VALUES (1)")()
    if environ["PATH_INFO"] == "/hang":
        Raw("SELECT pg_sleep(1000)")()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]

def make_app(global_conf, **config):
    manager = get_manager("served")
    manager.configure(config)
    return ManagerMiddleware(application, manager)
"""

INI = """
[app:main]
paste.app_factory = hanging:make_app
simpycity.dsn = {dsn}

[server:main]
use = egg:waitress
host = 127.0.0.1
port = {port}
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=lambda sent: sent.name)
def test_paster_serve_closes_its_sessions_politely_with_a_request_in_flight(
    own_server, tmp_path, sent
):
    (tmp_path / "hanging.py").write_text(APPLICATION)
    port = free_port()
    ini = INI.format(dsn=own_server.dsn, port=port)
    (tmp_path / "served.ini").write_text(ini)
    log = own_server.cluster / "log"
    before = log.stat().st_size
    process = subprocess.Popen(
        [sys.executable, PASTER, "serve", "served.ini"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}") or process.poll() is not None)
        in_flight = create_connection(("127.0.0.1", port))
        in_flight.sendall(b"GET /hang HTTP/1.0\r\n\r\n")
        sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'served'"
        until(lambda: own_server.query(sessions + " AND query LIKE '%pg_sleep(1000)'"))
        process.send_signal(sent)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    in_flight.close()
    assert process.returncode == 0, output
    until(lambda: not own_server.query(sessions))
    assert own_server.query("SELECT count(*) FROM seen") == [(0,)]
    assert impolite(log, before) == []


def test_dispose_ends_what_others_are_doing_and_the_next_use_begins_anew(manager, witness):
    errors = []
    started = threading.Barrier(5)

    def sleep():
        started.wait()
        try:
            Raw("SELECT pg_sleep(1000)")()
        except psycopg2.Error as error:
            errors.append(error)
        finally:
            manager.cleanup()

    threads = [threading.Thread(target=sleep) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    until(lambda: [entry.transaction for entry in in_use(manager)] == ["active"] * 4)
    manager.dispose()
    for thread in threads:
        thread.join(PATIENCE)
    # They were cancelled, not cut off.
    assert [type(error) for error in errors] == [QueryCanceled] * 4
    assert manager.status() == []
    assert backend()


def test_dispose_in_a_transaction_loses_it_as_a_whole(manager):
    Raw("CREATE TABLE seen (n int)")()
    manager.commit()
    Raw("INSERT INTO seen VALUES (1)")()
    manager.dispose()
    with pytest.raises(TransactionLost):
        Raw("INSERT INTO seen VALUES (2)")()
    manager.rollback()
    assert Raw("SELECT count(*) FROM seen")().fetchone()[0] == 0
