"""Runs paster in processes that are forked from one which has loaded Pylons already.

To load it is most of what a command takes. All else is the command's own: its folder, environment,
arguments, input and output, and the way it ends. A test that looks at the start itself runs PASTER.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

PASTER = str(Path(sys.executable).with_name("paster"))

# What commands load of others' packages and of ours, in whatever project they run.
LOADED = [
    "paste.script.appinstall",
    "paste.script.create_distro",
    "pylons.controllers.util",
    "pylons.middleware",
    "pylons.wsgiapp",
    "simpycity_template.frameworks.pylons_json",
    "simpycity_template.functions.startup",
    "simpycity_template.middleware",
    "simpycity_template.schema",
    "simpycity_template.template",
    "webhelpers.html.secure_form",
]
MESSAGE_SIZE = 100_000


class Parent:
    """The process that the commands are forked from; it ends with ours."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd="/",
            )  # fmt: skip
        atexit.register(self._end)

    def _end(self) -> None:
        self._link.close()
        self._process.wait()

    def run(
        self, arguments: tuple[str, ...], cwd: Path, env: dict[str, str], text: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end; it is killed.
        """
        message = json.dumps([arguments, str(cwd), env]).encode()
        result, theirs = os.pipe()
        with (
            TemporaryFile("w+") as given,
            TemporaryFile("w+") as output,
            TemporaryFile("w+") as errors,
            open(result) as lines,
        ):
            given.write(text)
            given.seek(0)
            files = [given.fileno(), output.fileno(), errors.fileno(), theirs]
            socket.send_fds(self._link, [message], files)
            os.close(theirs)
            command = int(lines.readline())
            if not select.select([result], [], [], timeout)[0]:
                os.kill(command, signal.SIGKILL)
                raise subprocess.TimeoutExpired([PASTER, *arguments], timeout)
            status = int(lines.readline())
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(
                [PASTER, *arguments], status, output.read(), errors.read()
            )


@cache
def parent() -> Parent:
    """The one of this process."""
    return Parent()


def serve(link: socket.socket) -> None:
    """Fork a process for each command that is asked for; return in that process alone."""
    for name in LOADED:
        import_module(name)
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
                sys.argv = [PASTER, *arguments]
                path = environment.get("PYTHONPATH", "").split(os.pathsep)
                sys.path[:1] = [os.path.dirname(PASTER), *filter(None, path)]
                return
        for file in files:
            os.close(file)


def _is_command(files: list[int]) -> bool:
    """Fork the command; the process that remains tells how it ends, and ends."""
    *streams, result = files
    command = os.fork()
    if not command:
        for number, file in enumerate(streams):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        return True
    for file in streams:
        os.close(file)
    os.write(result, b"%d\n" % command)
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    os.write(result, b"%d\n" % status)
    os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    from paste.script.command import run

    sys.exit(run())
