"""Money moves between accounts while sessions die: the sum is exact, and nothing happens twice.

Threads and forked processes move money, each transfer in its own transaction and with a number of
its own. A killer ends a random session every 25 ms, and the server is restarted once. Afterwards
the database is the witness: what was acknowledged is there once, what failed is not there.
"""

import os
import random
import threading
from itertools import count

import psycopg2
import pytest
import servers
from psycopg2 import extensions
from psycopg2.errors import TransactionResolutionUnknown
from simpycity.core import Function
from support import fork, in_use, until

from simpycity_template import get_manager

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=10)]

TRANSFERS = int(os.environ.get("TRANSFERS", 6_000))
ACCOUNTS = 100
BALANCE = 1_000
THREADS = 8  # in this process
CHILDREN = 3  # forked, with two threads each
KILL_INTERVAL = 0.025  # seconds

SCHEMA = f"""
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO account SELECT n, {BALANCE} FROM generate_series(1, {ACCOUNTS}) n;
CREATE TABLE transfer (number text PRIMARY KEY);
CREATE FUNCTION withdraw(account_id int, amount int) RETURNS void LANGUAGE sql
    AS 'UPDATE account SET balance = balance - amount WHERE id = account_id';
CREATE FUNCTION deposit(account_id int, amount int, number text) RETURNS void LANGUAGE sql
    AS 'UPDATE account SET balance = balance + amount WHERE id = account_id;
        INSERT INTO transfer VALUES (number)';
"""

withdraw = Function("withdraw", ["account_id", "amount"])
deposit = Function("deposit", ["account_id", "amount", "number"])


class Clerk:
    """Makes transfers until it has ``wanted`` acknowledged; keeps what it was told of each."""

    def __init__(self, manager, name, wanted):
        self.manager, self.name, self.wanted = manager, name, wanted
        self.told = {"committed": [], "unknown": [], "failed": []}

    def work(self):
        chance = random.Random(self.name)
        for number in count():
            if len(self.told["committed"]) >= self.wanted:
                break
            number = f"{self.name}-{number}"
            self.told[self.transfer(number, *chance.sample(range(1, ACCOUNTS + 1), 2))].append(
                number
            )
        # Its thread ends without cleanup(), as threads do.

    def transfer(self, number, payer, payee):
        try:
            with self.manager.transaction():
                withdraw(payer, 1)
                deposit(payee, 1, number)
        except TransactionResolutionUnknown:
            return "unknown"
        except psycopg2.OperationalError:
            # Killed, deadlocked, or the server is just restarting.
            return "failed"
        return "committed"


def in_threads(clerks):
    threads = [threading.Thread(target=clerk.work) for clerk in clerks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def own_server():
    with servers.own_server() as server:
        yield server


@pytest.fixture
def manager(own_server):
    manager = get_manager("bank")
    dsn = extensions.make_dsn(own_server.dsn, dbname="postgres")
    manager.configure({"simpycity.dsn": dsn, "simpycity.pool_size": 3, "simpycity.max_overflow": 3})
    yield manager
    manager.cleanup()
    manager.dispose()


def test_the_sum_is_exact_and_each_acknowledged_transfer_is_there_once(
    own_server, manager, tmp_path
):
    with manager.transaction():
        manager.handle().execute(SCHEMA)
    manager.cleanup()
    done = threading.Event()
    killed = []

    def kill():
        link = None
        while not done.wait(KILL_INTERVAL):
            try:
                if link is None:
                    link = psycopg2.connect(own_server.dsn, application_name="killer")
                    link.autocommit = True
                with link.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'bank' ORDER BY random() LIMIT 1"
                    )
                    killed.extend(cursor.fetchall())
            except psycopg2.Error:
                link = None  # the restart took it, too

    each = TRANSFERS // (THREADS + 2 * CHILDREN) + 1

    def child(n):
        clerks = [Clerk(manager, f"child {n}.{thread}", each) for thread in range(2)]
        in_threads(clerks)
        text = "\n".join(
            f"{told} {number}" for c in clerks for told in c.told for number in c.told[told]
        )
        (tmp_path / f"child {n}").write_text(text)

    children = [fork(lambda n=n: child(n)) for n in range(CHILDREN)]
    clerks = [Clerk(manager, f"thread {n}", each) for n in range(THREADS)]
    threads = [threading.Thread(target=clerk.work) for clerk in clerks]
    killer = threading.Thread(target=kill)
    for thread in [*threads, killer]:
        thread.start()
    until(lambda: sum(len(c.told["committed"]) for c in clerks) > each * THREADS / 2)
    own_server.restart()
    for thread in threads:
        thread.join()
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    done.set()
    killer.join()

    told = {"committed": [], "unknown": [], "failed": []}
    for clerk in clerks:
        for outcome, numbers in clerk.told.items():
            told[outcome] += numbers
    for n in range(CHILDREN):
        for line in (tmp_path / f"child {n}").read_text().splitlines():
            outcome, _, number = line.partition(" ")
            told[outcome].append(number)

    link = psycopg2.connect(own_server.dsn, application_name="auditor")
    cursor = link.cursor()
    cursor.execute("SELECT number FROM transfer")
    there = {number for (number,) in cursor}
    cursor.execute("SELECT sum(balance) FROM account")
    assert cursor.fetchone() == (ACCOUNTS * BALANCE,)
    link.close()
    assert len(told["committed"]) >= TRANSFERS
    assert set(told["committed"]) <= there
    assert not there & set(told["failed"])
    assert there <= {*told["committed"], *told["unknown"]}
    assert len(killed) > 20 and told["failed"]
    assert in_use(manager) == []
    sessions(own_server, manager)


def sessions(own_server, manager):
    """No session is left but idle ones of this process, some of which may have been killed."""
    link = psycopg2.connect(own_server.dsn, application_name="auditor")
    link.autocommit = True
    cursor = link.cursor()

    def left():
        cursor.execute("SELECT pid, state FROM pg_stat_activity WHERE application_name = 'bank'")
        return set(cursor.fetchall())

    ours = {(entry.backend_pid, "idle") for entry in manager.status()}
    until(lambda: left() <= ours)
    link.close()
