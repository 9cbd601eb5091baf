"""Starts servers as their users do, loads them, and asks PostgreSQL what they left behind."""

import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from pages import block
from psycopg2.extensions import connection, parse_dsn
from support import PATIENCE, until

HERE = Path(__file__).parent

_rounds = count()


def on_page(name: str, page: str = "deployment.rst") -> str:
    """The block of code called ``name`` on a page of the documentation, to be used as it is."""
    return block(f"docs/{page}", name)


def with_changes(text: str, *changes: dict[str, str]) -> str:
    """``text`` with one thing in the place of another, which has to be there."""
    for old, new in (item for change in changes for item in change.items()):
        assert old in text, old
        text = text.replace(old, new)
    return text


class Probe:
    """One server with the probe application, from outside."""

    def __init__(self, port: int, dsn: str, witness: connection) -> None:
        self.port = port
        self.dsn = dsn
        self.address = f"http://127.0.0.1:{port}"
        self.database = parse_dsn(dsn)["dbname"]
        self.witness = witness

    def get(self, page: str) -> bytes:
        """The body of a page."""
        with urllib.request.urlopen(f"{self.address}/{page}", timeout=PATIENCE) as response:
            return response.read()

    def json(self, page: str) -> Any:
        return json.loads(self.get(page))

    def answers(self) -> bool:
        """Whether somebody listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
        except OSError:
            return False
        return True

    def at_once(self, times: int) -> list[Any]:
        """What requests that are all under way at the same time say of their sessions."""
        page = f"sessions?together={times}&round={next(_rounds)}"
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(self.json, [page] * times))

    def in_turn(self, times: int) -> list[Any]:
        """What requests that follow each other say of their sessions."""
        return [self.json("sessions") for _ in range(times)]

    def load(self, requests: int = 120, threads: int = 8) -> int:
        """A mix of what goes well and what does not; returns how many rows were committed.

        A third of the requests raises, some are given up by the client, some forget to commit.
        """
        kinds = [self._forget, self._fail, self._keep, self._leave, self._fail, self._forget]
        mix = [kinds[number % len(kinds)] for number in range(requests)]
        random.Random(1).shuffle(mix)
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(visit) for visit in mix]:
                done.result()
        return mix.count(self._keep)

    def _forget(self) -> None:
        answer = self.json("sessions")
        assert answer["first"] == answer["second"]

    def _keep(self) -> None:
        assert self.get("keep") == b"kept"

    def _fail(self) -> None:
        try:
            self.get("fail")
        except (urllib.error.HTTPError, OSError):
            return
        raise AssertionError("the failure was not told")

    def _leave(self) -> None:
        self.leave_half_way("stream")

    def leave_half_way(self, page: str) -> None:
        """Ask for a page, read its beginning, and hang up with the rest unread."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            client.sendall(f"GET /{page} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            received = client.recv(100)
            assert received.split()[1] == b"200", received
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @contextmanager
    def under_way(self, page: str, number: int, sessions: int) -> Iterator[list["Future[bytes]"]]:
        """So many requests for a page that waits for the witness's lock, until the block ends.

        Arguments:
            page: takes the advisory lock 1, shared.
            number: of requests.
            sessions: how many of them have one when the block begins.
        """
        self.ask("SELECT pg_advisory_lock(1)")
        with ThreadPoolExecutor(number) as threads:
            try:
                requests = [threads.submit(self.get, page) for _ in range(number)]
                until(lambda: len(self.sessions("wait_event = 'advisory'")) == sessions)
                yield requests
            finally:
                self.ask("SELECT pg_advisory_unlock(1)")

    @contextmanager
    def killed_in_a_request(self) -> Iterator[int]:
        """Kill the process that answers a request, in the middle of it; gives its session.

        The statement that it has sent goes on until the block ends.
        """
        self.ask("SELECT pg_advisory_lock(1)")
        try:
            request = threading.Thread(target=self._be_cut_off)
            request.start()
            process, session = self._hanging()
            os.kill(process, signal.SIGKILL)
            request.join()
            yield session
        finally:
            self.ask("SELECT pg_advisory_unlock(1)")

    def _be_cut_off(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            self.get("hang")

    # --- what PostgreSQL says ---

    def ask(self, sql: str, *arguments: object) -> list[Any]:
        """The first column of what the witness sees."""
        with self.witness.cursor() as cursor:
            cursor.execute(sql, arguments)
            return [row[0] for row in cursor]

    def sessions(self, condition: str = "true") -> list[int]:
        """The sessions of the application's database, but for the witness's own."""
        return self.ask(
            "SELECT pid FROM pg_stat_activity "
            f"WHERE datname = %s AND pid <> pg_backend_pid() AND {condition}",
            self.database,
        )

    def forget_rows(self) -> None:
        """Empty the table."""
        with self.witness.cursor() as cursor:
            cursor.execute("TRUNCATE visit")

    def rows(self) -> Counter[str]:
        """What was committed, by page."""
        with self.witness.cursor() as cursor:
            cursor.execute("SELECT page, count(*) FROM visit GROUP BY page")
            return Counter(dict(cursor.fetchall()))

    def wait_for_quiet(self, at_most: int) -> None:
        """Return as soon as no session is in a transaction, and there are not too many of them."""
        until(lambda: not self.sessions("state <> 'idle'"))
        until(lambda: len(self.sessions()) <= at_most)

    def _hanging(self) -> tuple[int, int]:
        """The process that answers /hang, and its session."""
        hangs = "application_name ~ '^hangs' AND wait_event = 'advisory'"
        until(lambda: self.sessions(hangs))
        (session,) = self.sessions(hangs)
        (name,) = self.ask("SELECT application_name FROM pg_stat_activity WHERE pid = %s", session)
        return int(name.split()[1]), session


@contextmanager
def running(
    command: list[str], folder: Path, answers: Callable[[], bool], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block lasts, and then kill it with all the processes it started."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **environment},
        )
    try:
        until(lambda: answers() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        # What pytest shows of a test that failed.
        print(log.read_text()[-3000:])
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def visitors(visit: Callable[[], object], number: int) -> Iterator[list[Exception]]:
    """Call ``visit`` again and again in ``number`` threads while the block lasts.

    Gives the list of what it has raised.
    """
    leave, failures = threading.Event(), []

    def stay() -> None:
        while not leave.is_set():
            try:
                visit()
            except Exception as error:
                failures.append(error)

    with ThreadPoolExecutor(number) as threads:
        for _ in range(number):
            threads.submit(stay)
        try:
            yield failures
        finally:
            leave.set()
