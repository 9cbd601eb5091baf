"""`make demo`: from nothing to a page, again within seconds, and nothing stays behind."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Visitor
from support import PATIENCE, free_port, kill_processes_of, processes_of, until

pytestmark = [pytest.mark.process, pytest.mark.slow]

DEMO = Path(__file__).parent.parent / "demo.py"


@pytest.fixture
def start(tmp_path):
    """Starts the demo in a folder of the test's own; kills what the test leaves running."""
    shutil.copy(DEMO, tmp_path)
    started = []

    def start(port):
        started.append(
            subprocess.Popen(
                [sys.executable, tmp_path / "demo.py", "--port", str(port)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                # As in a terminal; these tests may run under nohup.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            )
        )
        return started[-1]

    yield start
    for demo in started:
        demo.kill()
        demo.stdout.close()
    kill_processes_of(tmp_path)


def read_address(demo):
    """Return the address that the demo prints at the end, and the steps printed before."""
    steps, told = [], []
    for line in demo.stdout:
        told.append(line)
        if found := re.search(r"open (http://\S+?)/ in a browser", line):
            return found[1], steps
        steps += re.findall(r"\$ (paster \S+)", line)
    raise AssertionError(f"no address was printed: {''.join(told)}")


def test_it_leads_to_a_page_and_ends_all_that_it_started(start, tmp_path):
    demo = start(free_port())
    address, steps = read_address(demo)
    assert steps == ["paster create", "paster setup-app", "paster serve"]
    assert "HelloWorld is running" in Visitor(address).get("/")
    assert "There are no notes yet." in Visitor(address).get("/notes")
    demo.send_signal(signal.SIGINT)
    assert demo.wait(PATIENCE) == 0
    until(lambda: not processes_of(tmp_path))

    port = free_port()
    demo = start(port)
    address, steps = read_address(demo)
    assert address == f"http://127.0.0.1:{port}"
    assert steps == ["paster setup-app", "paster serve"]
    # What a terminal sends when it is closed.
    demo.send_signal(signal.SIGHUP)
    assert demo.wait(PATIENCE) == 128 + signal.SIGHUP
    until(lambda: not processes_of(tmp_path))
    project = tmp_path / ".demo" / "HelloWorld"
    for name in ("development.ini", "README.txt"):
        written = re.findall(r"(?m)(?:^port = |127\.0\.0\.1:)(\d+)", (project / name).read_text())
        assert set(written) == {str(port)}, name

    # In the middle of a step. Another process may have taken the port meanwhile.
    demo = start(free_port())
    assert "setup-app" in demo.stdout.readline()
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(PATIENCE) == 128 + signal.SIGTERM
    until(lambda: not processes_of(tmp_path))


def test_a_port_that_is_taken_is_told_in_one_sentence(start, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        demo = start(taken.getsockname()[1])
        said, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert re.fullmatch(r"Port \d+ cannot be used .*PORT=8080 make demo\n", said)
    assert not (tmp_path / ".demo").exists()


def test_a_number_that_is_no_port_is_told_in_one_sentence(start):
    said, _ = start(99999).communicate(timeout=PATIENCE)
    assert re.fullmatch(r"Port 99999 cannot be used .*\n", said)
