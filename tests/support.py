"""What the tests of the manager share: waiting, threads, children, and queries."""

import gc
import os
import shutil
import socket
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
from psycopg2.extensions import connection
from simpycity.core import Raw

from simpycity_template import manager as manager_module

# How many seconds a state is waited for. It is longer than the busiest machine takes, and nobody
# waits so long where all is well: who waits for a time of its own, expects something of the machine.
PATIENCE = 300.0

pid = Raw("SELECT pg_backend_pid() AS pid")


def backend(handle: Any = None) -> int:
    """The session that serves ``handle``, or else the current scope."""
    return pid(options={"handle": handle} if handle else {}).fetchone()["pid"]


def in_use(manager: Any) -> list[Any]:
    """The connections of ``manager`` that somebody holds."""
    return [entry for entry in manager.status() if entry.state == "in use"]


def until(condition: Callable[[], Any]) -> Any:
    """Wait until ``condition`` is true, and return what it returned."""
    deadline, pause = monotonic() + PATIENCE, 0.002
    while not (result := condition()):
        assert monotonic() < deadline, "waited in vain"
        sleep(pause)
        # Soon at first, and later without taking the processor from what is waited for.
        pause = min(pause * 1.5, 0.05)
    return result


# Those of one process of pytest, below those that the kernel gives to clients: none of them, and no
# other process of this run, takes a port between its choice and the moment when a server listens.
_first_port = 10_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = (_first_port + (os.getpid() + number) % 2_000 for number in count())


def free_port() -> int:
    """A port on which nobody listens."""
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def in_memory() -> str | None:
    """The folder whose files are kept in memory; None where there is no room for many servers.

    To create and drop a database there takes half of the time.
    """
    folder = "/dev/shm"
    room = shutil.disk_usage(folder).free if os.path.isdir(folder) else 0
    return folder if room > 4 << 30 else None


def end_session(witness: connection, session: int) -> None:
    """Have the server end a session, as an administrator would, and wait until it is gone."""
    with witness.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (session,))
    # With a timeout that waits, too, but it looks ten times a second only.
    until(lambda: not psutil.pid_exists(session))


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes that work in a folder, or name it in their command."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        for told in [[process.info["cwd"] or "", *(process.info["cmdline"] or [])]]
        if any(str(folder) in text for text in told)
    ]


def kill_processes_of(folder: Path) -> None:
    """Kill them, and those that they start meanwhile."""
    while left := processes_of(folder):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def without_reader(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command into a pipe that nobody reads any more, as where `| head` has ended."""
    nobody, output = os.pipe()
    os.close(nobody)
    try:
        return subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, **options
        )
    finally:
        os.close(output)


def in_thread(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a thread of its own; returns its result, or raises its exception."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    result, error = outcome[0]
    if error:
        raise error
    return result


def fork(work: Callable[[], Any]) -> int:
    """Run ``work`` in a forked child that closes its connections at its end; returns its pid."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # A sys.exit() would run pytest's own way out.
            manager_module._exit()
            os._exit(status)
    return child


def in_child(work: Callable[[], Any]) -> bool:
    """Run ``work`` in a forked child and wait for it; true where it did not fail."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1]) == 0


def calls_of(work):
    """How many calls of Python functions and of built-in ones ``work`` makes."""
    counts = Counter()

    def profile(frame, event, argument):
        # Only Python 3.14 and later tell of the call at the beginning of a with statement.
        if getattr(argument, "__name__", None) != "__enter__":
            counts[event] += 1

    # The garbage collector makes calls of its own: Hypothesis listens to it.
    gc.disable()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return counts["call"], counts["c_call"]
