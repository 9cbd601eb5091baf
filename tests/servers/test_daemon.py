"""`paster serve` in the background, with the commands of the page on deployment."""

import socket
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import psutil
import pytest
from projects import Visitor, answers, change, create, paster
from serving import on_page
from support import PATIENCE, free_port, kill_processes_of, processes_of, until

pytestmark = pytest.mark.process

START, STATUS, RESTART, STOP = on_page("daemon").splitlines()


class Daemon:
    """A project with a production.ini, whose server is started and stopped by commands."""

    def __init__(self, project: Path, dsn: str) -> None:
        self.project = project
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        done = paster("make-config", project.name, "production.ini", cwd=project)
        assert done.returncode == 0, done.stderr
        change(project / "production.ini", "simpycity.dsn", dsn)
        change(project / "production.ini", "port", str(self.port))

    def type(self, line: str) -> CompletedProcess[str]:
        """Run a line of the page."""
        return paster(*line.removeprefix("$ paster ").split(), cwd=self.project)

    def log(self) -> str:
        return (self.project / "paster.log").read_text()

    def first(self) -> psutil.Process:
        """The process that starts the one that serves."""
        return psutil.Process(int((self.project / "paster.pid").read_text()))

    def serving(self) -> psutil.Process:
        """Wait until a process serves, and return it."""
        until(lambda: answers(self.address))
        (process,) = self.first().children()
        assert "is running" in Visitor(self.address).get("/"), self.log()
        return process

    def processes(self) -> list[psutil.Process]:
        """Every process that works for the project, also those of its embedded server."""
        return processes_of(self.project)


@pytest.fixture
def daemon(request, tmp_path) -> Iterator[Daemon]:
    """One on an embedded server, or else on the one whose DSN a test gives."""
    dsn = getattr(request, "param", "embedded:%(here)s/data/postgres")
    daemon = Daemon(create(tmp_path, "HelloWorld"), dsn)
    yield daemon
    kill_processes_of(daemon.project)


def test_a_daemon_serves_also_when_it_was_killed_until_it_is_stopped(daemon):
    assert daemon.type(START).returncode == 0
    first = daemon.serving()
    assert daemon.type(STATUS).stdout == f"Server running in PID {daemon.first().pid}\n"
    first.kill()
    first.wait(PATIENCE)
    second = daemon.serving()
    assert daemon.type(RESTART).returncode == 0
    third = daemon.serving()
    assert daemon.type(STOP).returncode == 0
    assert not any(process.is_running() for process in (first, second, third))
    # The embedded server ends a moment after the last process that uses it.
    until(lambda: not daemon.processes())
    assert daemon.type(STATUS).returncode == 1
    assert daemon.log().count("Serving on") == 3
    assert "Traceback" not in daemon.log() and "cannot listen" not in daemon.log()


# It ends before it looks for its database.
@pytest.mark.parametrize("daemon", ["dbname=none"], indirect=True)
def test_why_a_daemon_cannot_listen_is_in_its_log(daemon):
    with socket.create_server(("127.0.0.1", daemon.port)):
        assert daemon.type(START.replace("--monitor-restart ", "")).returncode == 0
        until(lambda: daemon.log().count("\n") > 1)
    assert daemon.log().splitlines()[1].startswith("The server cannot listen (host = 127.0.0.1, ")
    until(lambda: not daemon.processes())
    assert daemon.type(STATUS).returncode == 1
