"""`make demo`: creates a project, sets it up and serves it, as a newcomer would by hand.

The project stays in .demo/, so the next time there is only the serving left to do.
"""

import argparse
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent / ".demo" / "HelloWorld"
PASTER = Path(sys.executable).with_name("paster")
PATIENCE = 60.0
"""Seconds within which the server must answer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="where to serve (default: 5000)")
    port = parser.parse_args().port
    # Like Ctrl-C, they end what was started on the way out. A terminal that is closed sends SIGHUP,
    # and nohup ignores that.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        check_free(port)
        create()
        choose(port)
        step(PROJECT, "paster", "setup-app", "development.ini")
        serve(port)
    except KeyboardInterrupt:
        print("\nThe demo has ended.")


def check_free(port: int) -> None:
    """End with one sentence unless a server can listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except (OSError, OverflowError) as error:
            sys.exit(f"Port {port} cannot be used ({error}); choose another: PORT=8080 make demo")


def create() -> None:
    """Create the project, unless an earlier demo has."""
    if PROJECT.exists():
        return
    PROJECT.parent.mkdir(exist_ok=True)
    options = ("--quiet", "--no-interactive", "--template=simpycity")
    step(PROJECT.parent, "paster", "create", *options, PROJECT.name)


def choose(port: int) -> None:
    """Write the port wherever the project has the address at which it is developed."""
    for file in (PROJECT / "development.ini", PROJECT / "README.txt"):
        text = file.read_text()
        file.write_text(re.sub(r"(?m)(^port = |http://127\.0\.0\.1:)\d+", rf"\g<1>{port}", text))


def step(directory: Path, *command: str) -> None:
    """Show a command, and run it; end the demo where it fails."""
    show(directory, *command)
    done = subprocess.run([PASTER, *command[1:]], cwd=directory, check=False)
    if done.returncode:
        sys.exit(f"`{shlex.join(command)}` failed.")


def show(directory: Path, *command: str) -> None:
    print(f"[{directory.relative_to(Path(__file__).resolve().parent)}]$ {shlex.join(command)}")
    sys.stdout.flush()


def serve(port: int) -> None:
    """Serve the project until Ctrl-C."""
    address = f"http://127.0.0.1:{port}/"
    show(PROJECT, "paster", "serve", "development.ini")
    server = subprocess.Popen(
        [PASTER, "serve", "development.ini"],
        cwd=PROJECT,
        # A terminal's Ctrl-C is for us; we tell the server.
        start_new_session=True,
    )
    try:
        wait_for(address, server)
        print(f"\n{PROJECT.name} is running: open {address} in a browser. Ctrl-C ends it.\n")
        sys.stdout.flush()
        server.wait()
    finally:
        stop(server)


def wait_for(address: str, server: subprocess.Popen) -> None:
    """Return as soon as the page is there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=PATIENCE).close()
            return
        except urllib.error.HTTPError as error:
            sys.exit(f"{address} answers with an error: {error}")
        except OSError:
            time.sleep(0.05)
    sys.exit("The server did not come up; its own words stand above.")


def stop(server: subprocess.Popen) -> None:
    """End the server, kindly first."""
    # Not SIGINT: where a shell began the demo in the background, that is ignored.
    for number in (signal.SIGTERM, signal.SIGKILL):
        if server.poll() is None:
            server.send_signal(number)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                continue


if __name__ == "__main__":
    main()
