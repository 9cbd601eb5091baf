"""The pages of docs/frameworks, run as they are written, in real processes."""

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import IO
from urllib.error import HTTPError

import psycopg2
import pytest
from pages import blocks, typed
from preloaded import Command, parent
from psycopg2.extensions import parse_dsn
from support import PATIENCE
from waiting import eventually

# What the processes of a page load of others' packages and of ours, in whatever order.
LOADED = {
    "celery": ["celery.bin.celery", "celery.concurrency.prefork", "celery.contrib.testing.worker"]
    + ["kombu.transport.sqlalchemy", "simpycity_template.frameworks.celery"],
    "django": ["django.core.management.commands.check", "django.core.wsgi", "django.test"]
    + ["simpycity_template.frameworks.django", "waitress.runner"],
    "flask": ["pytest", "simpycity_template.frameworks.flask", "waitress.runner"],
    "jobs": ["simpycity_template.manager"],
    "pyramid": ["pyramid.scripts.pserve", "pytest", "simpycity_template.frameworks.pyramid"]
    + ["waitress", "webtest"],
    "wsgi": ["simpycity_template.middleware", "waitress.runner"],
}


class Project:
    """A folder with the files of a page, and the processes that run them.

    They are forked from one that has loaded the framework, unless ``loaded`` is None.
    """

    def __init__(self, folder: Path, page: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.loaded: list[str] | None = LOADED.get(page, [])
        for block in blocks(f"docs/frameworks/{page}.rst"):
            if block.caption:
                self.write(block.caption, dedent(block.text))

    def write(self, name: str, text: str) -> None:
        """Write a file, with the test's database in place of the page's."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("dbname=helloworld", f"dbname={self.environment['DATABASE']}"))

    def read(self, name: str) -> str:
        """The text of a file."""
        return (self.folder / name).read_text()

    def run(self, *arguments: str, check: bool = True, typed: str = "") -> str:
        """Run ``python ARGUMENTS`` to its end, and return what it printed."""
        if self._is_preloaded(arguments):
            run = parent(*self.loaded).run(
                arguments, self.folder, self.environment, typed, PATIENCE
            )
        else:
            run = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                input=typed,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        if check:
            assert run.returncode == 0, run.stderr
        return run.stdout + run.stderr

    def run_tests(self, console: str) -> str:
        """Run the tests of a page by the command that it types."""
        (command,) = typed(console)
        plugin = ["-p", "simpycity_template.testing.pytest_plugin", "-p", "no:cacheprovider"]
        return self.run(*command.split()[1:], *plugin)

    def _is_preloaded(self, arguments: tuple[str, ...]) -> bool:
        """Whether nothing but the time tells who has loaded what the process needs."""
        return self.loaded is not None and (
            arguments[0] in ("-m", "-c") or not arguments[0].startswith("-")
        )

    @contextmanager
    def start(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes] | Command, Path]]:
        """Run ``python ARGUMENTS`` during the block; gives the process and its log.

        Its input has no end meanwhile.
        """
        log = self.folder / "log"
        with pipe() as (reading, _), log.open("w") as output:
            process = self._start(arguments, reading, output)
            try:
                yield process, log
            finally:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(PATIENCE)

    def _start(
        self, arguments: tuple[str, ...], input: IO[str], output: IO[str]
    ) -> subprocess.Popen[bytes] | Command:
        if self._is_preloaded(arguments):
            streams = (input, output, output)
            return parent(*self.loaded).start(arguments, self.folder, self.environment, *streams)
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=input,
            stdout=output,
            stderr=output,
        )

    @contextmanager
    def serve(self, application: str) -> Iterator["Site"]:
        """Serve ``module:application`` on waitress during the block."""
        waitress = ["-m", "waitress", "--listen=127.0.0.1:0", application]
        with self.start(*waitress) as (process, log):

            def address() -> str | None:
                assert process.poll() is None, log.read_text()
                found = re.search(r"Serving on (http://\S+)", log.read_text())
                return found and found[1]

            yield Site(eventually(address), log)

    @contextmanager
    def serve_on(self, port: int, *arguments: str) -> Iterator["Site"]:
        """Run ``python ARGUMENTS``, which listens on that port, during the block."""
        with self.start(*arguments) as (process, log):
            site = Site(f"http://127.0.0.1:{port}", log)
            eventually(lambda: site.listens() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield site


@contextmanager
def pipe() -> Iterator[tuple[IO[str], IO[str]]]:
    """The end that is read, and the end that is written."""
    reading, writing = os.pipe()
    with open(reading) as reads, open(writing, "w") as writes:
        yield reads, writes


class Site:
    """A served application."""

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self.log = log

    def listens(self) -> bool:
        """Whether anybody does."""
        try:
            self.get("/")
        except OSError:
            return False
        return True

    def get(self, path: str, data: bytes | None = None) -> tuple[int, str]:
        """GET, or POST ``data``: the status and the body."""
        try:
            with urllib.request.urlopen(self.address + path, data, timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def abandon(self, path: str) -> None:
        """GET, and go away after the first bytes of the body."""
        response = urllib.request.urlopen(self.address + path, timeout=PATIENCE)
        assert response.read(1)
        response.close()


class Sessions:
    """What pg_stat_activity says of the sessions of one database."""

    def __init__(self, witness, database: str) -> None:
        self._witness = witness
        self._database = database

    def states(self) -> list[str]:
        """The state of each session."""
        with self._witness.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM pg_stat_activity WHERE datname = %s ORDER BY state",
                [self._database],
            )
            return [state for (state,) in cursor]

    def in_transaction(self) -> int:
        """How many are in a transaction."""
        return sum(state != "idle" for state in self.states())

    def are_free(self) -> bool:
        """Whether soon none is in a transaction any more: a response is sent before its end."""
        return bool(eventually(lambda: not self.in_transaction()))

    def are_kept(self, most: int, least: int = 1) -> bool:
        """Whether soon there are so many: one ends a moment after its connection was closed."""
        return bool(eventually(lambda: least <= len(self.states()) <= most))

    def are_gone(self) -> bool:
        """Whether soon there is none any more."""
        return bool(eventually(lambda: not self.states()))


@pytest.fixture
def database(dsn: str) -> str:
    """The name of the fresh database."""
    return parse_dsn(dsn)["dbname"]


@pytest.fixture
def sessions(witness, database: str) -> Sessions:
    """The sessions of the fresh database."""
    return Sessions(witness, database)


@pytest.fixture
def note(dsn: str) -> None:
    """The table that the pages share."""
    (console,) = blocks("docs/frameworks/index.rst", "console")
    createdb, psql = map(shlex.split, typed(console.text))
    *begin, create = psql
    assert (createdb, begin) == (["createdb", "helloworld"], ["psql", "helloworld", "-c"])
    with closing(psycopg2.connect(dsn)) as link, link, link.cursor() as cursor:
        cursor.execute(create)


@pytest.fixture
def make_project(server, database: str, tmp_path: Path) -> Callable[[str], Project]:
    """Writes the files of a page into the test's folder, for the fresh database."""
    where = parse_dsn(server.admin_dsn)
    environment = {
        **os.environ,
        "DATABASE": database,
        "PGHOST": where["host"],
        "PGPORT": where.get("port", "5432"),
        "PGUSER": where["user"],
        "PYTHONUNBUFFERED": "1",
    }
    return lambda page: Project(tmp_path, page, environment)
