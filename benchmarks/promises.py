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
from pools import Ours, Psycopg2Pool, PsycopgPool, SQLAlchemy

TIMEOUT = 20  # seconds for one trial
WIDTH = 28  # letters in a column of the table
TABLE = Path(__file__).parent.parent / "docs" / "promises_table.txt"


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


# What ends the session of a transaction in the middle of its COMMIT.
ENDS_IN_COMMIT = """
DROP TABLE IF EXISTS kept;
CREATE TABLE kept (n int);
CREATE OR REPLACE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION end_session();
"""


def unknown(make: Any, dsn: str) -> str:
    """6: the connection breaks during COMMIT; the error says that the outcome is unknown"""
    outside(dsn, ENDS_IN_COMMIT)
    pool = make(dsn)
    pool.run("INSERT INTO kept VALUES (1)")
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


def ended_elsewhere(make: Any, dsn: str) -> str:
    """13: another thread ends a unit of work, which goes on and calls commit()"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    end = pool.unit()
    pool.run("INSERT INTO kept VALUES (1)")
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    try:
        pool.run("INSERT INTO kept VALUES (2)")
        pool.commit()
        told = "commit() succeeds"
    except Exception as error:
        told = f"fails ({type(error).__name__})"
    rows = outside(dsn, "SELECT count(*) FROM kept")[0][0]
    return f"{told}, {rows} of 2 rows stored"


def changed_connection(make: Any, dsn: str) -> str:
    """14: a request makes the driver's connection read-only; the next request writes"""
    outside(dsn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)")
    pool = make(dsn)
    connection = pool.driver()
    # psycopg 3 has the one name, psycopg2 the other.
    setattr(connection, "read_only" if hasattr(connection, "read_only") else "readonly", True)
    pid(pool)
    pool.end()
    try:
        pool.run("INSERT INTO kept VALUES (1)")
    except Exception as error:
        return f"fails ({type(error).__name__})"
    return "works"


def limit(make: Any, dsn: str) -> str:
    """15: twenty threads want a connection at once, two are allowed; sessions that the server sees"""
    pool = make(dsn, 2)
    start = threading.Barrier(20)

    def work() -> None:
        start.wait(10)
        try:
            pool.run("SELECT pg_sleep(0.02)")
        except Exception:
            failed.append(1)
        else:
            pool.end()

    failed: list[int] = []
    workers = [threading.Thread(target=work) for _ in range(20)]
    for worker in workers:
        worker.start()
    most = 0
    while any(worker.is_alive() for worker in workers):
        seen = outside(dsn, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                       "'client backend' AND application_name <> 'outside'")  # fmt: skip
        most = max(most, seen[0][0])
    return f"{most} at most, and {len(failed) or 'none'} of the threads failed"


def too_old(make: Any, dsn: str) -> str:
    """16: a connection lies idle for longer than it may live (one second); the next request"""
    pool = make(dsn, 1, 1)
    first = pid(pool)
    pool.end()
    sleep(2.5)
    return "has the old one" if pid(pool) == first else "has a new one"


TRIALS: list[Callable[[Any, str], str]] = [
    outlived, threads, uncommitted, broken_end, stubborn, unknown, stale, dead_thread, fork,
    imported_again, forgotten_stream, exhausted, ended_elsewhere, changed_connection, limit, too_old,
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
