"""The end of a process: every session is closed politely, also those in the middle of something."""

import os
import re
import signal
import subprocess
import sys
import threading
from socket import create_connection
from time import monotonic

import psycopg2
import pytest
import servers
from projects import PASTER, answers, free_port
from simpycity.core import Raw
from support import backend, in_use, until

from simpycity_template import TransactionLost

# Threads that hold connections in every state, and a main thread that ends in the given way.
PROGRAM = """
import os, signal, sys, threading, time
from simpycity.core import Raw
from simpycity_template import get_manager

signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
manager = get_manager("ending")
manager.configure({"simpycity.dsn": sys.argv[1]})
busy = threading.Barrier(4)

def sleeping():
    manager.handle().conn
    busy.wait()
    Raw("SELECT pg_sleep(60)")()

def in_transaction():
    Raw("INSERT INTO seen VALUES (1)")()
    busy.wait()
    time.sleep(60)

def in_a_loop():
    busy.wait()
    while True:
        Raw("SELECT 1")()
        manager.cleanup()

for work in (sleeping, in_transaction, in_a_loop):
    threading.Thread(target=work, daemon=True).start()
busy.wait()
def sleeps(entry):
    return entry.transaction == "active" and "pg_sleep" in (entry.last_sql or "")
while not any(sleeps(entry) for entry in manager.status()):
    time.sleep(0.01)
time.sleep(0.2)  # psycopg2 sends BEGIN before it
Raw("INSERT INTO seen VALUES (1)")()
print("ready", flush=True)
"""

ENDS = {
    "return": "",
    "exception": "raise ZeroDivisionError",
    "sys.exit": "sys.exit(3)",
    "Ctrl-C": "time.sleep(60)",
    "SIGTERM that exits": "time.sleep(60)",
}
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
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    began = monotonic()
    if end in SIGNALS:
        process.send_signal(SIGNALS[end])
    process.communicate(timeout=30)
    assert monotonic() - began < 20
    left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ending'"
    until(lambda: not own_server.query(left))
    assert own_server.query("SELECT count(*) FROM seen") == [(0,)]
    assert impolite(log, before) == []


def impolite(log, before):
    """What the server's log says after ``before`` of clients that left without a goodbye.

    But for a session whose statement was interrupted: the server may still be telling so when the
    goodbye comes, and miss it. It is out of its transaction then, and says so at DEBUG only.
    """
    with log.open() as lines:
        lines.seek(before)
        said = lines.read()
    interrupted = set(re.findall(r"\[(\d+)\] ERROR:  canceling statement", said))
    return [
        line
        for line, session in re.findall(
            r"(.*\[(\d+)\].*(?:unexpected EOF|could not receive|could not send).*)", said
        )
        if "DEBUG" not in line or session not in interrupted
    ]


APPLICATION = """
from simpycity.core import Raw
from simpycity_template import get_manager
from simpycity_template.middleware import ManagerMiddleware

def application(environ, start_response):
    Raw("INSERT INTO seen VALUES (1)")()
    if environ["PATH_INFO"] == "/hang":
        Raw("SELECT pg_sleep(60)")()
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
        until(lambda: answers(f"http://127.0.0.1:{port}") or process.poll() is not None, 60)
        in_flight = create_connection(("127.0.0.1", port))
        in_flight.sendall(b"GET /hang HTTP/1.0\r\n\r\n")
        sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'served'"
        until(lambda: own_server.query(sessions + " AND query LIKE '%pg_sleep(60)'"))
        process.send_signal(sent)
        output, _ = process.communicate(timeout=30)
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
            Raw("SELECT pg_sleep(60)")()
        except psycopg2.Error as error:
            errors.append(error)
        finally:
            manager.cleanup()

    threads = [threading.Thread(target=sleep) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    until(lambda: [entry.transaction for entry in in_use(manager)] == ["active"] * 4)
    began = monotonic()
    manager.dispose()
    for thread in threads:
        thread.join()
    assert monotonic() - began < 10
    assert len(errors) == 4
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
