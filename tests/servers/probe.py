"""The application that the servers serve: each page does one thing to the database.

It connects while it is imported, before any server forks.
"""

import json
import os
import time
from urllib.parse import parse_qs

from simpycity.core import Raw

from simpycity_template import get_manager
from simpycity_template.middleware import ManagerMiddleware

manager = get_manager("probe")
manager.configure(
    {
        "simpycity.dsn": os.environ["PROBE_DSN"],
        "simpycity.pool_size": os.environ.get("PROBE_POOL_SIZE", "5"),
    }
)

# At module level, as an application's model is: one object for all threads and greenlets.
session = Raw("SELECT pg_backend_pid() AS pid")
arrive = Raw("INSERT INTO arrival (round) VALUES (%s)", ["round"])
arrived = Raw("SELECT count(*) AS n FROM arrival WHERE round = %s", ["round"])
insert = Raw("INSERT INTO visit (page) VALUES (%s)", ["page"])
lock = Raw("SELECT pg_advisory_xact_lock_shared(1)")
name_session = Raw("SELECT set_config('application_name', %s, true)", ["name"])


def backend():
    return session().fetchone()["pid"]


with manager.scope("start"):
    AT_START = {"process": os.getpid(), "session": backend()}


def sessions(query):
    """Which session, asked twice, in a transaction that nobody commits.

    Of a ``round`` of requests none goes on before all are ``together``.
    """
    if "round" in query:
        arrive(query["round"][0])
        manager.commit()
    first = backend()
    insert("forgotten")
    if "round" in query:
        wait_for(query["round"][0], int(query["together"][0]))
    return [json.dumps(report(first=first, second=backend())).encode()]


def wait_for(others, number):
    deadline = time.monotonic() + 300
    while arrived(others).fetchone()["n"] < number:
        assert time.monotonic() < deadline, "the others did not come"
        time.sleep(0.01)


def report(**more):
    return {"process": os.getpid(), "at_start": AT_START, **more}


def keep(query):
    insert("kept")
    manager.commit()
    return [b"kept"]


def fail(query):
    insert("failed")
    raise ZeroDivisionError


def stream(query):
    """Many megabytes, a transaction long."""
    insert("streamed")
    for _ in range(int(query.get("lines", ["5000"])[0])):
        yield json.dumps(report(session=backend())).encode().ljust(10_000) + b"\n"
        time.sleep(0.001)


def hang(query):
    """Tell the witness who hangs, and wait for its lock in the middle of a transaction."""
    insert("hung")
    name_session(f"hangs {os.getpid()}")
    lock()
    manager.commit()
    return [b"hung"]


def wait(query):
    """Answer when the witness lets go of its lock."""
    lock()
    return [b"waited"]


def waiting(query):
    """How many wait for a connection, in this process."""
    return [json.dumps(len(manager.waiting())).encode()]


PAGES = {f"/{page.__name__}": page for page in (sessions, keep, fail, stream, hang, wait, waiting)}


def pages(environ, start_response):
    body = PAGES[environ["PATH_INFO"]](parse_qs(environ.get("QUERY_STRING", "")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body


application = ManagerMiddleware(pages, manager)


def app_factory(global_conf):
    """For the INI file."""
    return application
