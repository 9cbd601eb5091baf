"""Beside Simpycity as it comes: the leak, and its own test suite on the manager's handles."""

import subprocess
import sys

import psycopg2
import pytest
from support import PATIENCE, until

# A program that queries as a request would, drops every result, and then counts the sessions
# that it left on the server.
REQUEST = """
import gc, sys
gc.disable()
import psycopg2
from simpycity import config
from simpycity.core import Raw
from simpycity.model import SimpleModel
from psycopg2.extensions import parse_dsn

dsn, managed = sys.argv[1], sys.argv[2] == "managed"
if managed:
    from simpycity_template import get_manager
    manager = get_manager("seed")
    manager.configure({"simpycity.dsn": dsn})
else:
    parts = parse_dsn(dsn)
    config.host, config.user, config.database = parts["host"], parts["user"], parts["dbname"]
    config.port = parts.get("port")

count = Raw("SELECT count(*) AS cnt, usename FROM pg_stat_activity GROUP BY usename")

def foo():
    return count()

class Account(SimpleModel):
    table = ["id"]
    count = Raw("SELECT count(*) FROM pg_stat_activity")

def bar():
    account = Account(id=1)
    account.itself = account
    account.count()

def request():
    foo()
    bar()

request()
if managed:
    manager.cleanup()
witness = psycopg2.connect(dsn)
cursor = witness.cursor()
cursor.execute(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
)
print(cursor.fetchone()[0])
"""


@pytest.mark.parametrize("how, left_behind", [("stock", 2), ("managed", 0)])
def test_sessions_left_in_a_transaction_by_a_request_that_drops_its_results(dsn, how, left_behind):
    run = subprocess.run(
        [sys.executable, "-c", REQUEST, dsn, how], capture_output=True, text=True, timeout=PATIENCE
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == left_behind


# Simpycity's tests install a handle factory of their own before each test.
SUITE = """
import sys, unittest
from simpycity import config
from simpycity.test import test_core, test_handle
from simpycity_template import get_manager

manager = get_manager("simpycity's own tests")
manager.configure({"simpycity.dsn": sys.argv[1]})
test_core.test_handle_factory = manager.config.handle_factory
suite = unittest.TestSuite(
    unittest.defaultTestLoader.loadTestsFromModule(module) for module in (test_core, test_handle)
)
result = unittest.TextTestRunner(verbosity=2).run(suite)
manager.cleanup()
print(result.testsRun, len(result.failures) + len(result.errors), len(result.skipped))
"""


def test_simpycitys_own_suite_passes_on_the_managers_handles(dsn):
    run = subprocess.run(
        [sys.executable, "-c", SUITE, dsn], capture_output=True, text=True, timeout=PATIENCE
    )
    assert run.returncode == 0, run.stderr
    ran, failed, skipped = map(int, run.stdout.split("\n")[-2].split())
    assert (ran, failed, skipped) == (24, 0, 0), run.stderr


def test_a_handle_without_a_manager_is_as_simpycity_wrote_it(dsn):
    program = (
        "import sys; from simpycity_template import get_manager; get_manager('idle')\n"
        "from simpycity.handle import Handle\n"
        "handle = Handle(dsn=sys.argv[1])\n"
        "with handle.transaction(): handle.execute('SELECT 1')\n"
        "handle.commit(); handle.rollback(); assert handle.open; print(handle)\n"
        "handle.close(); assert handle.conn.closed; handle.open; assert not handle.conn.closed\n"
    )
    run = subprocess.run([sys.executable, "-c", program, dsn], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Handle object: pid" in run.stdout


@pytest.mark.process
def test_importing_the_package_imports_no_driver():
    program = "import sys, simpycity_template; print('psycopg2' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr


def test_at_exit_every_session_is_closed(dsn):
    program = (
        "import sys; from simpycity_template import get_manager\n"
        "manager = get_manager('exit'); manager.configure({'simpycity.dsn': sys.argv[1]})\n"
        "print(manager.handle().conn.backend_pid, manager.open().conn.backend_pid)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, dsn], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    link = psycopg2.connect(dsn)
    link.autocommit = True
    with link.cursor() as cursor:
        left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
        sessions = [int(pid) for pid in run.stdout.split()]

        def gone():
            cursor.execute(left, (sessions,))
            return cursor.fetchone() == (0,)

        # The server takes a moment to end a session that was closed.
        until(gone)
    link.close()
