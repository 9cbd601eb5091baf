"""Makes projects from the template and runs them, in processes of their own, as a user would."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import IO, Any

from preloaded import PASTER, Command, parent
from support import PATIENCE, free_port, until

ENGINES = ["mako", "jinja2", "genshi"]


def run(*command: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    options.setdefault("timeout", PATIENCE)
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)


def paster(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run paster to its end."""
    return python(PASTER, *arguments, cwd=cwd, **options)


def python(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python to its end; one that has loaded Pylons already, where that makes no difference."""
    env = options.get("env", os.environ)
    if options.keys() <= {"env", "input", "timeout"} and of_python(env) == of_python(os.environ):
        text, timeout = options.get("input", ""), options.get("timeout", PATIENCE)
        return parent().run(arguments, cwd, env, text, timeout)
    return run(sys.executable, *arguments, cwd=cwd, **options)


def of_python(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that an interpreter reads at its start, but for the path, which is added later."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("PYTHON") and name != "PYTHONPATH"
    }


def create(folder: Path, name: str, *variables: str) -> Path:
    """Create a project, and return where it is."""
    done = paster(
        "create", "-q", "-t", "simpycity", "--no-interactive", name, *variables, cwd=folder
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / name


def set_up(project: Path, ini: str = "development.ini") -> None:
    """Bring the schema into the project's database."""
    done = paster("setup-app", ini, cwd=project)
    assert done.returncode == 0, done.stderr


def change(file: Path, setting: str, value: str) -> None:
    """Give a setting of an INI file another value."""
    text, times = re.subn(
        rf"(?m)^{re.escape(setting)} =.*", f"{setting} = {value}", file.read_text()
    )
    assert times == 1
    file.write_text(text)


@contextmanager
def served(project: Path, ini: str = "development.ini", *options: str) -> Iterator[str]:
    """Serve a project while the block runs, and yield its address.

    Arguments:
        project: its folder.
        ini: the configuration file in it.
        options: of paster serve.
    """
    port = free_port()
    change(project / ini, "port", str(port))
    address = f"http://127.0.0.1:{port}"
    log = project / "serve.log"
    with log.open("w") as output, open(os.devnull) as nothing:
        server = start(PASTER, "serve", *options, ini, cwd=project, input=nothing, output=output)
        try:
            until(lambda: answers(address) or server.poll() is not None)
            assert server.poll() is None, log.read_text()
            yield address
        finally:
            # The whole group: with --reload there are two processes.
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def start(
    *arguments: str,
    cwd: Path,
    input: IO[str],
    output: IO[str],
    env: Mapping[str, str] = os.environ,
) -> Command:
    """Start a Python that has loaded Pylons already, in a session of its own."""
    return parent().start(arguments, cwd, env, input, output, output)


def answers(address: str, path: str = "/style.css") -> bool:
    """Tell whether a server listens there, whatever it answers."""
    try:
        urllib.request.urlopen(address + path, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Visitor:
    """Someone with a browser's cookies, but no browser."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.status = 0
        self.text = ""
        self.headers: Message = Message()
        # As browsers do at a loopback address, where no one listens on the way.
        policy = DefaultCookiePolicy(secure_protocols=("http", "https"))
        cookies = urllib.request.HTTPCookieProcessor(CookieJar(policy))
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> str:
        """Return the text of a page; the status stays in ``status``."""
        return self._open(path, None)

    def post(self, path: str, **fields: str) -> str:
        """Post a form, follow its redirect, and return the text of the page."""
        return self._open(path, urllib.parse.urlencode(fields).encode())

    def upload(self, path: str, field: str, **fields: str) -> str:
        """Post a form with a file in one of its fields, and return the text of the page."""
        parts = [f'name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
        parts.append(f'name="{field}"; filename="note.txt"\r\n\r\nA file')
        form = "".join(f"--part\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
        headers = {"Content-Type": "multipart/form-data; boundary=part"}
        return self._open(path, f"{form}--part--\r\n".encode(), headers)

    def token(self) -> dict[str, str]:
        """Return what the form of the page in hand has to prove that it is ours."""
        found = re.search(r'type="hidden" name="(\w+)" value="(\w+)"', self.text)
        assert found
        return {found[1]: found[2]}

    def _open(self, path: str, data: bytes | None, headers: dict[str, str] | None = None) -> str:
        request = urllib.request.Request(self.address + path, data, headers or {})
        try:
            answer = self._opener.open(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.status, self.headers = answer.status, answer.headers
            self.text = answer.read().decode()
        return self.text
