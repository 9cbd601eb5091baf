"""Runs Python in processes that are forked from one which has loaded Pylons, or another framework.

To load it is most of what a command takes. All else is the command's own: its folder, environment,
arguments, input and output, session, and the way it ends. A test that looks at the start itself
runs PASTER, or sys.executable.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, Any

PASTER = str(Path(sys.executable).with_name("paster"))

# What commands load of others' packages and of ours, in whatever project they run.
LOADED = [
    "beaker.middleware",
    "mako.template",
    "paste.cascade",
    "paste.script.appinstall",
    "paste.script.create_distro",
    "paste.script.serve",
    "pylons.controllers.util",
    "pylons.decorators.secure",
    "pylons.middleware",
    "pylons.wsgiapp",
    "pytest",
    "routes.middleware",
    "setuptools.command.egg_info",
    "simpycity_template.embedded",
    "simpycity_template.frameworks.pylons_json",
    "simpycity_template.functions.startup",
    "simpycity_template.middleware",
    "simpycity_template.public_files",
    "simpycity_template.request_check",
    "simpycity_template.schema",
    "simpycity_template.security_headers",
    "simpycity_template.status_page",
    "simpycity_template.template",
    "waitress",
    "webhelpers.html.secure_form",
    "webtest",
]
MESSAGE_SIZE = 100_000


class Command:
    """One that was started, as subprocess has it."""

    def __init__(self, arguments: Sequence[str], result: int) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._lines = open(result)
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """Return the status with which it has ended; None where it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended, and return with which status.

        Raises:
            subprocess.TimeoutExpired: it did not end.
        """
        if self.returncode is None:
            if not select.select([self._lines], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(self._lines.readline())
            self._lines.close()
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end, where it runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, where it runs."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Parent:
    """The process that the commands are forked from; it ends with ours."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd="/",
            )  # fmt: skip
        atexit.register(self._end)

    def _end(self) -> None:
        self._link.close()
        self._process.wait()

    def start(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], *streams: IO[str]
    ) -> Command:
        """Start a command in a session of its own.

        Arguments:
            arguments: as an interpreter has them: a file, -m and a module, or -c and a text; what
                follows is for the program.
            cwd: its folder.
            env: its environment.
            streams: its input, output and errors.
        """
        message = json.dumps([arguments, str(cwd), dict(env)]).encode()
        result, theirs = os.pipe()
        files = [*(stream.fileno() for stream in streams), theirs]
        socket.send_fds(self._link, [message], files)
        os.close(theirs)
        return Command(arguments, result)

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        text: str,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end; it is killed.
        """
        with (
            TemporaryFile("w+") as given,
            TemporaryFile("w+") as output,
            TemporaryFile("w+") as errors,
        ):
            given.write(text)
            given.seek(0)
            command = self.start(arguments, cwd, env, given, output, errors)
            try:
                status = command.wait(timeout)
            except subprocess.TimeoutExpired:
                command.kill()
                raise
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())


@cache
def parent(*modules: str) -> Parent:
    """The one of this process that has loaded these modules; without any, what commands load."""
    return Parent(modules or LOADED)


def serve(link: socket.socket, modules: Sequence[str]) -> list[str]:
    """Fork a process for each command that is asked for; return its arguments in that process."""
    for name in modules:
        import_module(name)
    if resources := sys.modules.get("pkg_resources"):
        # It reads what each distribution requires and offers, and keeps it.
        resources.require("simpycity_template")
        for distribution in resources.working_set:
            distribution.get_entry_map()
    # Else each command touches all that was loaded when it collects garbage at its end: most of its time.
    gc.freeze()
    # Nobody waits for those that wait for the commands.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(link, MESSAGE_SIZE, 4)
        if not message:
            sys.exit()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            link.close()
            if _is_command(files):
                arguments, cwd, environment = json.loads(message)
                os.chdir(cwd)
                os.environ.clear()
                os.environ.update(environment)
                return arguments
        for file in files:
            os.close(file)


def _is_command(files: list[int]) -> bool:
    """Fork the command; the process that remains tells how it ends, and ends."""
    *streams, result = files
    command = os.fork()
    if not command:
        os.setsid()
        os.write(result, b"%d\n" % os.getpid())
        for number, file in enumerate(streams):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        return True
    for file in streams:
        os.close(file)
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    os.write(result, b"%d\n" % status)
    os._exit(0)


class Popen(subprocess.Popen):
    """Forks what `paster create` and `paster serve --reload` start, too: most of what they take."""

    def __init__(self, args: Sequence[str], **options: Any) -> None:
        # A path may bring a sitecustomize, which a fork does not run.
        if _is_forked([*args]) and "PYTHONPATH" not in os.environ:
            # Else the fork would print it once more.
            sys.stdout.flush()
            environment = options.get("env") or dict(os.environ)
            options["preexec_fn"] = partial(_interpret_forked, [*args[1:]], environment)
        super().__init__(args, **options)


def _is_forked(command: list[str]) -> bool:
    # A daemon starts again what logs elsewhere than a fork of it would.
    reloads = command[:3] == [sys.executable, PASTER, "serve"] and "--reload" in command
    return reloads or command[:2] == [sys.executable, "setup.py"]


def _interpret_forked(arguments: list[str], environment: dict[str, str]) -> None:
    """Run a program in place of an executable, in a fork whose folder and streams are in place."""
    # Among them that by which subprocess sees that the program was started.
    os.closerange(3, 1 + max(map(int, os.listdir("/dev/fd"))))
    os.environ.clear()
    os.environ.update(environment)
    # What the command has changed, and subprocess for the fork.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.enable()
    status = 1
    try:
        interpret(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and end.code is not status:
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def interpret(arguments: list[str]) -> None:
    """Run a program as an interpreter does that is given the arguments."""
    subprocess.Popen = Popen  # type: ignore[misc]
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)
    kind, *rest = arguments
    folder = {"-m": os.getcwd(), "-c": ""}.get(kind, os.path.dirname(os.path.abspath(kind)))
    path = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:1] = path
    if resources := sys.modules.get("pkg_resources"):
        for entry in path:
            resources.working_set.add_entry(entry)
    # The same list: some have it as the default of an argument.
    if kind == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv[:] = ["-c", *rest[1:]]
        # It has none of our names.
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv[:] = arguments
        # Whose files are named in full since Python 3.9.
        runpy.run_path(os.path.abspath(kind), run_name="__main__")


if __name__ == "__main__":
    interpret(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
