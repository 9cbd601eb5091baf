"""What a pool itself costs a request: in microseconds, and in instructions that no load changes.

As a program with arguments, ``cost.py WHAT DSN TIMES``, it does one thing that often and no more,
for valgrind to count.
"""

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter

import psycopg2
from compare import FUNCTION
from contestants import BASE, CONTESTANTS, OURS
from report import publish

from simpycity_template import embedded, get_manager

ROUNDS = 25
TIMES = 500
SQLALCHEMY = "SQLAlchemy scoped_session"


def manager(dsn):
    """A scope that takes a connection and gives it back, and sends nothing."""
    manager = get_manager("cost")
    manager.configure({"simpycity.dsn": dsn, "simpycity.pool_size": 1, "simpycity.max_overflow": 0})

    def work():
        with manager.scope("GET /row"):
            manager.checkout(manager.handle())

    return work


def sqlalchemy_pool(dsn):
    """SQLAlchemy's checkout and checkin, which send nothing either."""
    from sqlalchemy.pool import QueuePool

    pool = QueuePool(lambda: psycopg2.connect(dsn), pool_size=1, max_overflow=0)
    return lambda: pool.connect().close()


def psycopg2_pool(dsn):
    """That of psycopg2, which knows nothing of who has what."""
    from psycopg2.pool import ThreadedConnectionPool

    pool = ThreadedConnectionPool(1, 1, dsn)
    return lambda: pool.putconn(pool.getconn())


def request_of(name):
    """A whole request of a contestant, without the server's part."""
    return lambda dsn: CONTESTANTS[name](dsn, 1)[0]


POOLS = {
    "the manager: scope, checkout, holder, cleanup": manager,
    "SQLAlchemy's QueuePool: checkout, checkin": sqlalchemy_pool,
    "psycopg2.pool: getconn, putconn": psycopg2_pool,
}
WHOLE = {f"a request: {name}": request_of(name) for name in (BASE, OURS, SQLALCHEMY)}


def repeat(work, times):
    """Only that."""
    for _ in range(times):
        work()


def microseconds(dsn):
    """The median of the time of each pool's turn, of rounds that take turns."""
    works = {name: make(dsn) for name, make in POOLS.items()}
    rounds = {name: [] for name in POOLS}
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = perf_counter()
            repeat(work, TIMES)
            rounds[name].append((perf_counter() - began) / TIMES * 1e6)
    return {name: median(each) for name, each in rounds.items()}


def instructions(what, dsn):
    """How many one turn takes, by the difference between many and few."""
    counts = []
    for times in (0, TIMES):
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
            + [__file__, what, dsn, str(times)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        counts.append(int(re.search(r"Collected : (\d+)", done.stderr)[1]))
    return (counts[1] - counts[0]) / TIMES


def report(dsn):
    """The table, as text."""
    times = microseconds(dsn)
    first = next(iter(times))
    lines = [f"{'':50}{'microseconds':>14}{'instructions':>14}"]
    for name in [*POOLS, *WHOLE]:
        count = f"{instructions(name, dsn):14.0f}" if shutil.which("valgrind") else ""
        time = f"{times[name]:14.1f}" if name in times else f"{'':14}"
        lines.append(f"{name:50}{time}{count}")
    for name in list(times)[1:]:
        lines.append(f"the manager to {name.split(':')[0]}: {times[first] / times[name]:.2f}")
    if not shutil.which("valgrind"):
        lines.append("Instructions were not counted: there is no valgrind.")
    return "\n".join(lines)


def main():
    """Measure, and publish."""
    if sys.argv[1:]:
        what, dsn, times = sys.argv[1:]
        work = {**POOLS, **WHOLE}[what](dsn)
        # Until Python has seen what there is to make faster.
        repeat(work, 50)
        gc.collect()
        gc.disable()
        repeat(work, int(times))
        return
    with tempfile.TemporaryDirectory() as directory:
        dsn = embedded.dsn(directory, "cost")
        connection = psycopg2.connect(dsn)
        connection.autocommit = True
        connection.cursor().execute(FUNCTION)
        connection.close()
        publish("cost", report(dsn))


if __name__ == "__main__":
    main()
