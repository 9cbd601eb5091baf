"""What each contestant does for one request: a call of a function, its rows, the clean-up.

As a program it is one contestant in a process of its own: ``python contestants.py NAME``. It reads
orders, one line of JSON each: ``[dsn, threads, "rate", seconds]`` is answered by the requests per
second, and ``[dsn, 1, "repeat", times]`` by "connected" and, after another line, null.
"""

import gc
import json
import sys
import threading
import warnings
from time import perf_counter, sleep

import psycopg2
from psycopg2.extras import DictCursor

SQL = "SELECT * FROM get_row(%s)"


def end_with_their_threads():
    """What the connections do that belong to a thread each."""


def by_hand(dsn, threads):
    """A psycopg2 connection that its thread keeps, and rolls back after each request."""
    local = threading.local()

    def request():
        if not hasattr(local, "connection"):
            local.connection = psycopg2.connect(dsn)
        with local.connection.cursor(cursor_factory=DictCursor) as cursor:
            cursor.execute(SQL, (1,))
            cursor.fetchall()
        local.connection.rollback()

    return request, end_with_their_threads


def by_hand_in_two(dsn, threads):
    """The same with BEGIN in one message with the statement: what there is to win, for nothing."""
    local = threading.local()

    def request():
        if not hasattr(local, "connection"):
            local.connection = psycopg2.connect(dsn)
            local.connection.autocommit = True
        with local.connection.cursor(cursor_factory=DictCursor) as cursor:
            cursor.execute("BEGIN;" + SQL, (1,))
            cursor.fetchall()
            cursor.execute("ROLLBACK")

    return request, end_with_their_threads


def psycopg2_pool(dsn, threads):
    """Large enough that it closes nothing on return."""
    from psycopg2.pool import ThreadedConnectionPool

    pool = ThreadedConnectionPool(threads, threads, dsn)

    def request():
        connection = pool.getconn()
        try:
            with connection.cursor(cursor_factory=DictCursor) as cursor:
                cursor.execute(SQL, (1,))
                cursor.fetchall()
        finally:
            pool.putconn(connection)

    return request, pool.closeall


def sqlalchemy_pool(dsn, threads):
    from sqlalchemy.pool import QueuePool

    pool = QueuePool(lambda: psycopg2.connect(dsn), pool_size=threads, max_overflow=0)

    def request():
        connection = pool.connect()
        try:
            with connection.cursor(cursor_factory=DictCursor) as cursor:
                cursor.execute(SQL, (1,))
                cursor.fetchall()
        finally:
            connection.close()

    return request, pool.dispose


def sqlalchemy_scoped_session(dsn, threads):
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import scoped_session, sessionmaker

    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(dsn),
        pool_size=threads,
        max_overflow=0,
    )
    session = scoped_session(sessionmaker(bind=engine))
    statement = text("SELECT * FROM get_row(:id)")

    def request():
        try:
            session.execute(statement, {"id": 1}).mappings().all()
        finally:
            session.remove()

    return request, engine.dispose


def psycopg3_pool(dsn, threads):
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(dsn, min_size=threads, max_size=threads, open=True)
    pool.wait()

    def request():
        with pool.connection() as connection:
            with connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(SQL, (1,))
                cursor.fetchall()

    return request, pool.close


def django(dsn, threads):
    """Persistent connections in autocommit mode, as Django has them: no transaction."""
    from django.conf import settings
    from django.db import close_old_connections, connection
    from psycopg2.extensions import parse_dsn

    parts = parse_dsn(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts["host"],
        "PORT": parts.get("port", ""),
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "CONN_MAX_AGE": None,
        "OPTIONS": {"sslmode": "disable", "gssencmode": "disable"},
    }
    if not settings.configured:
        settings.configure(DATABASES={"default": database})
    connection.settings_dict.update(database)

    def request():
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute(SQL, [1])
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                dict(zip(columns, row, strict=True))
        close_old_connections()

    return request, end_with_their_threads


def simpycity_held(dsn, threads):
    """Simpycity on a handle that its thread keeps, and rolls back after each request."""
    from simpycity.core import Function
    from simpycity.handle import Handle

    get_row = Function("get_row", ["id"])
    local = threading.local()

    def request():
        if not hasattr(local, "handle"):
            local.handle = Handle(dsn=dsn)
        get_row(1, options={"handle": local.handle}).fetchall()
        local.handle.rollback()

    return request, end_with_their_threads


def simpycity_as_it_comes(dsn, threads):
    """A connection for each request."""
    from simpycity.core import Function
    from simpycity.handle import Handle

    def request():
        handle = Handle(dsn=dsn)
        Function("get_row", ["id"], handle=handle)(1).fetchall()

    return request, end_with_their_threads


def simpycity_template(dsn, threads):
    """Simpycity with the manager."""
    from simpycity.core import Function

    from simpycity_template import get_manager

    manager = get_manager("benchmark")
    manager.configure(
        {"simpycity.dsn": dsn, "simpycity.pool_size": threads, "simpycity.max_overflow": 0}
    )
    get_row = Function("get_row", ["id"])

    def request():
        with manager.scope("GET /row"):
            get_row(1).fetchall()

    return request, manager.dispose


BASE = "psycopg2 by hand"
OURS = "Simpycity with the manager"
CONTESTANTS = {
    BASE: by_hand,
    "the same in two round trips": by_hand_in_two,
    OURS: simpycity_template,
    "Simpycity on a held handle": simpycity_held,
    "Simpycity as it comes": simpycity_as_it_comes,
    "psycopg2.pool": psycopg2_pool,
    "SQLAlchemy QueuePool": sqlalchemy_pool,
    "SQLAlchemy scoped_session": sqlalchemy_scoped_session,
    "psycopg 3 with psycopg_pool": psycopg3_pool,
    "Django": django,
}


def rate(request, threads, seconds):
    """Requests per second of that many threads, each warmed up."""
    stopped = False
    done = []
    start = threading.Barrier(threads + 1, timeout=60)

    def run():
        for _ in range(5):
            request()
        start.wait()
        number = 0
        while not stopped:
            request()
            number += 1
        done.append(number)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = perf_counter()
    sleep(seconds)
    stopped = True
    for worker in workers:
        worker.join()
    return sum(done) / (perf_counter() - began)


def repeat(request, times):
    """Only that, by this one thread."""
    for _ in range(times):
        request()


def main():
    """Obey the commands on standard input."""
    warnings.simplefilter("ignore")
    make = CONTESTANTS[sys.argv[1]]
    for line in sys.stdin:
        dsn, threads, what, how_many = json.loads(line)
        request, close = make(dsn, threads)
        if what == "rate":
            answer = rate(request, threads, how_many)
        else:
            # The first requests connect.
            repeat(request, 5)
            print("connected", flush=True)
            sys.stdin.readline()
            answer = repeat(request, how_many)
        print(json.dumps(answer), flush=True)
        # The server allows fewer connections than all contestants have together.
        close()
        del request, close
        gc.collect()


if __name__ == "__main__":
    main()
