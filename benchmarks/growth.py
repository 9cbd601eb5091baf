"""How the cost of a request grows: with threads, idle connections, managers and scopes.

Nothing here talks to a server more than it must: what grows is counted in this process.
"""

import gc
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from statistics import median
from time import perf_counter

from report import publish

from simpycity_template import embedded, get_manager
from simpycity_template.pool.database import Database  # noqa: E402
from simpycity_template.pool.owner import Owner
from simpycity_template.pool.pool import Pool
from simpycity_template.settings import Settings

ROUNDS = 7

ALLOW_MANY = """
import sys, psycopg2
from simpycity_template import embedded
connection = psycopg2.connect(embedded.dsn(sys.argv[1], "growth"))
connection.autocommit = True
connection.cursor().execute("ALTER SYSTEM SET max_connections = 600")
"""


def scope(manager):
    """A unit of work that takes a connection and sends nothing."""
    with manager.scope("GET /"):
        manager.checkout(manager.handle())


def microseconds(work, times):
    """The median of the time that one ``work()`` takes, of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(times):
            work()
        rounds.append((perf_counter() - began) / times)
    return median(rounds) * 1e6


def threads_on_a_pool_of_15(dsn):
    manager = get_manager("threads")
    manager.configure(
        {"simpycity.dsn": dsn, "simpycity.pool_size": 15, "simpycity.max_overflow": 0}
    )
    for threads in (1, 10, 100, 1000):
        each = 10_000 // threads
        rounds = []
        for _ in range(ROUNDS):
            start = threading.Barrier(threads + 1)

            def run(start=start, each=each):
                start.wait()
                for _ in range(each):
                    scope(manager)

            workers = [threading.Thread(target=run) for _ in range(threads)]
            for worker in workers:
                worker.start()
            start.wait()
            began = perf_counter()
            for worker in workers:
                worker.join()
            rounds.append((perf_counter() - began) / (threads * each))
        yield f"{threads:7} threads on a pool of 15: {median(rounds) * 1e6:8.1f} µs a scope"
    manager.dispose()


def idle_connections(dsn):
    for connections in (1, 10, 100, 500):
        settings = Settings(dsn=dsn, pool_size=connections, max_overflow=0)
        pool = Pool("idle", settings, Database(settings, "idle").connect)
        owners = [Owner("fill") for _ in range(connections)]
        for owner in owners:
            pool.acquire(owner)
        for owner in owners:
            pool.release(owner)
        holder = Owner("GET /")

        def turn(pool=pool, holder=holder):
            pool.acquire(holder)
            pool.release(holder)

        cost = microseconds(turn, 2000)
        status = microseconds(pool.status, 200)
        yield (
            f"{connections:7} idle connections: {cost:8.1f} µs a checkout and checkin,"
            f" {status:8.1f} µs a status()"
        )
        pool.close()


def managers(dsn):
    made = []
    for number in (1, 10, 100):
        while len(made) < number:
            made.append(get_manager(f"manager {len(made)}"))
            made[-1].configure({"simpycity.dsn": dsn}, default=False)
        yield f"{number:7} managers: {microseconds(lambda: scope(made[0]), 2000):8.1f} µs a scope"
    made[0].dispose()


def scopes(dsn):
    manager = get_manager("scopes")
    manager.configure({"simpycity.dsn": dsn}, default=False)
    scope(manager)
    gc.collect()
    tracemalloc.start()
    for total in (1000, 10_000, 100_000):
        done = 0
        while done < total:
            scope(manager)
            done += 1
        memory, _ = tracemalloc.get_traced_memory()
        yield f"{total:7} scopes: {memory / 1024:8.1f} KiB more memory"
    tracemalloc.stop()
    manager.dispose()


def main():
    """Measure, and publish: one line for each measurement."""
    with tempfile.TemporaryDirectory() as directory:
        # The server stops with that process, and starts with the new limit.
        subprocess.run([sys.executable, "-c", ALLOW_MANY, directory], check=True)
        dsn = embedded.dsn(directory, "growth")
        measures = (threads_on_a_pool_of_15, idle_connections, managers, scopes)
        publish("growth", "\n".join(line for measure in measures for line in measure(dsn)))


if __name__ == "__main__":
    main()
