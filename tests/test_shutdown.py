"""The end of a process: every session is closed politely, also those in the middle of something."""

import re
import signal
import subprocess
import sys
import threading
from time import monotonic

import psycopg2
import pytest
import servers
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
    with log.open() as lines:
        lines.seek(before)
        impolite = re.findall(
            r".*(?:unexpected EOF|could not receive|could not send).*", lines.read()
        )
    assert impolite == []


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
