"""What the manager and its peers do at the same moment of need, tried and printed as a table.

    python benchmarks/promises.py            # the table of docs/promises.rst
    python benchmarks/promises.py --write    # writes it there

It needs the extras ``embedded`` and ``bench``. Each trial runs in a process of its own, since some
of them hang or crash, and is stopped after some seconds.
"""

import gc
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg2

TIMEOUT = 20  # seconds for one trial
WIDTH = 28  # letters in a column of the table
TABLE = Path(__file__).parent.parent / "docs" / "promises_table.txt"


class Ours:
    """simpycity_template."""

    title = "simpycity_template"

    def __init__(self, dsn: str, size: int = 1) -> None:
        from simpycity_template import get_manager

        self.manager = get_manager("tried")
        settings = {"dsn": dsn, "pool_size": size, "max_overflow": 0, "pool_timeout": 1}
        self.manager.configure({f"simpycity.{key}": settings[key] for key in settings})

    def run(self, sql: str) -> Any:
        cursor = self.manager.handle().cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def commit(self) -> None:
        self.manager.commit()

    def end(self) -> None:
        self.manager.cleanup()

    def kept(self) -> Callable[[str], Any]:
        return self.manager.handle().execute

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        from simpycity_template.middleware import ManagerMiddleware

        def application(environ: Any, start_response: Any) -> Iterator[bytes]:
            return body()

        return iter(ManagerMiddleware(application, self.manager)({}, lambda *args: None))


class SQLAlchemy:
    """SQLAlchemy's scoped_session on its QueuePool, with psycopg2."""

    title = "SQLAlchemy"

    def __init__(self, dsn: str, size: int = 1) -> None:
        import sqlalchemy
        from sqlalchemy.orm import scoped_session, sessionmaker

        engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn),
            pool_size=size, max_overflow=0, pool_timeout=1,
        )  # fmt: skip
        self.text, self.session = sqlalchemy.text, scoped_session(sessionmaker(engine))

    def run(self, sql: str) -> Any:
        result = self.session.execute(self.text(sql))
        return result.fetchall() if result.returns_rows else None

    def commit(self) -> None:
        self.session.commit()

    def end(self) -> None:
        self.session.remove()

    def kept(self) -> Callable[[str], Any]:
        connection = self.session.connection()
        return lambda sql: connection.execute(self.text(sql))

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        return ending(body, self.end)


class PsycopgPool:
    """psycopg_pool, with a connection for each thread from getconn() to putconn()."""

    title = "psycopg_pool"

    def __init__(self, dsn: str, size: int = 1) -> None:
        from psycopg_pool import ConnectionPool

        self.pool = ConnectionPool(dsn, min_size=size, max_size=size, timeout=1, open=True)
        self.pool.wait()
        self.local = threading.local()

    def run(self, sql: str) -> Any:
        if getattr(self.local, "connection", None) is None:
            self.local.connection = self.pool.getconn()
        cursor = self.local.connection.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def commit(self) -> None:
        self.local.connection.commit()

    def end(self) -> None:
        connection, self.local.connection = getattr(self.local, "connection", None), None
        if connection is not None:
            self.pool.putconn(connection)

    def kept(self) -> Callable[[str], Any]:
        connection = self.local.connection
        return lambda sql: connection.cursor().execute(sql)

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        return ending(body, self.end)


class Psycopg2Pool(PsycopgPool):
    """psycopg2.pool.ThreadedConnectionPool, used the same way."""

    title = "psycopg2.pool"

    def __init__(self, dsn: str, size: int = 1) -> None:
        from psycopg2.pool import ThreadedConnectionPool

        self.pool = ThreadedConnectionPool(size, size, dsn)
        self.local = threading.local()

    def run(self, sql: str) -> Any:
        if getattr(self.local, "connection", None) is None:
            self.local.connection = self.pool.getconn()
        cursor = self.local.connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def ending(body: Callable[[], Iterator[bytes]], end: Callable[[], None]) -> Iterator[bytes]:
    """A body that ends its request when it is exhausted, closed or dropped."""
    try:
        yield from body()
    finally:
        end()


CONTESTANTS = [Ours, SQLAlchemy, PsycopgPool, Psycopg2Pool]


def pid(pool: Any) -> int:
    return int(pool.run("SELECT pg_backend_pid()")[0][0])


def outside(dsn: str, sql: str, *arguments: Any) -> list[Any]:
    link = psycopg2.connect(dsn, application_name="outside")
    link.autocommit = True
    with link.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall() if cursor.description else []
    link.close()
    return rows


def kill(dsn: str, session: int) -> None:
    outside(dsn, "SELECT pg_terminate_backend(%s, 5000)", session)


def stale(make: Any, dsn: str) -> str:
    """7: the server ended an idle connection; the next request"""
    pool = make(dsn)
    session = pid(pool)
    pool.end()
    kill(dsn, session)
    try:
        pid(pool)
    except Exception:
        return "fails"
    return "works"


def stubborn(make: Any, dsn: str) -> str:
    """6: the connection breaks between two statements, the error is caught, and commit() called"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    pool.run("INSERT INTO kept VALUES (1)")
    kill(dsn, pid(pool))
    for n in (2, 3):
        try:
            pool.run(f"INSERT INTO kept VALUES ({n})")
        except Exception:
            pass
    try:
        pool.commit()
        told = "commit() succeeds"
    except Exception:
        told = "commit() fails"
    rows = outside(dsn, "SELECT count(*) FROM kept")[0][0]
    return f"{told}, {rows} of 3 rows stored"


def unknown(make: Any, dsn: str) -> str:
    """6: the connection breaks during COMMIT; the error says that the outcome is unknown"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    pool.run("INSERT INTO kept VALUES (1)")
    kill(dsn, pid(pool))
    try:
        pool.commit()
    except Exception as error:
        return "yes" if "unknown" in str(error) else f"no ({type(error).__name__})"
    return "no error"


def dead_thread(make: Any, dsn: str) -> str:
    """8: a thread ends without giving its connection back; the next request (no garbage collector)"""
    gc.disable()
    pool = make(dsn)
    thread = threading.Thread(target=lambda: pid(pool))
    thread.start()
    thread.join()
    try:
        pid(pool)
    except Exception as error:
        return f"fails ({type(error).__name__})"
    return "works"


def fork(make: Any, dsn: str) -> str:
    """9: fork with a connection in use, and both sides go on"""
    pool = make(dsn)
    mine = pid(pool)
    child = os.fork()
    if not child:
        try:
            os._exit(3 if pid(pool) == mine else 0)
        except BaseException:
            os._exit(4)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 3:
        return "the child uses its parent's session"
    try:
        same = pid(pool) == mine
    except Exception:
        same = False
    child_says = "the child works" if code == 0 else "the child fails"
    return f"{child_says}, the parent {'goes on' if same else 'has lost its session'}"


def exhausted(make: Any, dsn: str) -> str:
    """12: all are in use; the error names who has them"""
    pool = make(dsn)
    release = threading.Event()
    holding = threading.Event()

    def culprit() -> None:
        pid(pool)
        holding.set()
        release.wait(10)

    thread = threading.Thread(target=culprit, name="the culprit")
    thread.start()
    holding.wait(10)
    began = monotonic()
    try:
        pid(pool)
        answer = "no error"
    except Exception as error:
        waited = "after waiting" if monotonic() - began > 0.5 else "at once, without waiting"
        names = "names them" if "culprit" in str(error) else "does not"
        answer = f"{names} ({type(error).__name__} {waited})"
    release.set()
    thread.join()
    return answer


def outlived(make: Any, dsn: str) -> str:
    """1: what a request kept of its connection is used when another request has that connection"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    pid(pool)
    kept = pool.kept()
    pool.end()

    def other() -> None:
        pid(pool)
        mine.set()
        spoken.wait(10)
        pool.commit()
        pool.end()

    mine, spoken = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    mine.wait(10)
    try:
        kept("INSERT INTO kept VALUES (1)")
        told = "works"
    except Exception as error:
        told = f"fails ({type(error).__name__})"
    spoken.set()
    thread.join()
    stored = outside(dsn, "SELECT count(*) FROM kept")[0][0]
    return f"{told}; {'the other one commits it' if stored else 'the other one is not disturbed'}"


def threads(make: Any, dsn: str) -> str:
    """2: two threads query at the same time through one object of a module"""
    pool = make(dsn, 2)
    both = threading.Barrier(2)
    sessions = []

    def work() -> None:
        sessions.append(pid(pool))
        both.wait(10)
        pool.end()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return "each has a session" if len(set(sessions)) == 2 else "they share one"


def broken_end(make: Any, dsn: str) -> str:
    """5: the server ended the connection; the end of the request"""
    pool = make(dsn)
    kill(dsn, pid(pool))
    try:
        pool.end()
    except Exception as error:
        return f"raises {type(error).__name__}"
    return "raises nothing"


MODULE = """
pool = make(dsn)
pid(pool)
pool.end()
"""


def imported_again(make: Any, dsn: str) -> str:
    """10: the module that makes it is imported five times, as mod_python does; sessions it leaves"""
    gc.disable()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name <> 'outside'"
    before = outside(dsn, sessions + " AND datname = current_database()")[0][0]
    namespace: dict[str, Any] = {}
    for _ in range(5):
        namespace = {"make": make, "dsn": dsn, "pid": pid}
        exec(MODULE, namespace)
    return str(outside(dsn, sessions + " AND datname = current_database()")[0][0] - before)


def forgotten_stream(make: Any, dsn: str) -> str:
    """11: a server forgets a streamed body half-way; the next request of its thread commits"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)

    def body() -> Iterator[bytes]:
        pool.run("INSERT INTO kept VALUES (1)")
        yield b"first half"
        yield b"second half"

    def next_request() -> Iterator[bytes]:
        pid(pool)
        pool.commit()
        yield b"whole"

    forgotten = pool.stream(body)
    next(forgotten)
    try:
        list(pool.stream(next_request))
    except Exception as error:
        return f"fails ({type(error).__name__})"
    stored = outside(dsn, "SELECT count(*) FROM kept")[0][0]
    return "commits the half of the other, too" if stored else "has a transaction of its own"


def uncommitted(make: Any, dsn: str) -> str:
    """3: a request ends without commit(); its rows"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    pool.run("INSERT INTO kept VALUES (1)")
    pool.end()
    sleep(0.2)
    return "are gone" if outside(dsn, "SELECT count(*) FROM kept")[0][0] == 0 else "are stored"


TRIALS: list[Callable[[Any, str], str]] = [
    outlived, threads, uncommitted, broken_end, stubborn, unknown, stale, dead_thread, fork,
    imported_again, forgotten_stream, exhausted,
]  # fmt: skip


def tried(trial: str, contestant: str, dsn: str) -> str:
    """The outcome of one trial, in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, trial, contestant, dsn]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"hangs (stopped after {TIMEOUT} s)"
    lines = done.stdout.splitlines()
    return lines[-1] if lines else f"crashes ({done.stderr.splitlines()[-1:]})"


def table(dsn: str) -> str:
    """A table for Sphinx: what happens, and below it a column for each contestant."""
    rule = "+" + ("-" * (WIDTH + 2) + "+") * len(CONTESTANTS)
    lines = [rule, *row([contestant.title for contestant in CONTESTANTS]), rule.replace("-", "=")]
    for trial in TRIALS:
        assert trial.__doc__
        lines += [*row([f"**{trial.__doc__}**"]), rule]
        results = [tried(trial.__name__, peer.__name__, dsn) for peer in CONTESTANTS]
        lines += [*row(results), rule]
    return "\n".join(lines) + "\n"


def row(cells: list[str]) -> list[str]:
    """The lines of a row; one cell alone is as wide as all."""
    width = (WIDTH + 3) * len(CONTESTANTS) // len(cells) - 3
    columns = [[f" {line:{width}} " for line in textwrap.wrap(cell, width)] for cell in cells]
    return [
        f"|{'|'.join(pieces)}|" for pieces in zip_longest(*columns, fillvalue=" " * (width + 2))
    ]


def main() -> None:
    if len(sys.argv) == 4:
        trial, contestant, dsn = sys.argv[1:]
        print(globals()[trial](globals()[contestant], dsn), flush=True)
        os._exit(0)
    from simpycity_template import embedded

    with tempfile.TemporaryDirectory(prefix="simpycity-promises-") as directory:
        result = table(embedded.dsn(directory, "promises"))
    if "--write" in sys.argv:
        TABLE.write_text(result)
    print(result)


if __name__ == "__main__":
    main()
