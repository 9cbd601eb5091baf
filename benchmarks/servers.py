"""One generated application under the servers that the page on deployment names, side by side.

Each serves the page of pages.py with as many processes and threads as its name says, on all cores,
beside PostgreSQL and wrk. All are served the whole time, and take turns.
"""

import os
import shlex
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from pages import ROUNDS, ask_in_turns, ours, prepare, serving, table
from report import publish

from simpycity_template import embedded

PROGRAMS = Path(sys.executable).parent

SERVERS = {
    "waitress, 1 x 4": "waitress-serve --listen=127.0.0.1:PORT --threads=4 wsgi:application",
    "gunicorn sync, 2 x 1": "gunicorn --bind 127.0.0.1:PORT --workers 2 wsgi:application",
    "gunicorn gthread, 2 x 4": (
        "gunicorn --bind 127.0.0.1:PORT --worker-class gthread --workers 2 --threads 4 "
        "wsgi:application"
    ),
    # It closes each connection, and by itself does not say so.
    "uWSGI, 2 x 2": (
        "uwsgi --http-socket 127.0.0.1:PORT --master --die-on-term --processes 2 --threads 2 "
        f"--module wsgi:application --virtualenv {shlex.quote(sys.prefix)} --disable-logging "
        "--add-header 'Connection: close'"
    ),
}


def compare_servers(rounds=ROUNDS):
    """A list of rounds for each server: requests per second, and two latencies."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as servers:
        dsn = embedded.dsn(directory, "servers")
        prepare(dsn)
        folder = ours(Path(directory), {"dsn": dsn})
        pages = {}
        for name, command in SERVERS.items():
            program, *words = shlex.split(command)
            pages[name] = servers.enter_context(serving(folder, [str(PROGRAMS / program), *words]))
        return ask_in_turns(pages, rounds)


def main():
    """Measure, and publish."""
    if not shutil.which("wrk"):
        print("The servers were not compared: there is no wrk (Debian's package `wrk`).")
        return
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results = compare_servers()
    print(file=sys.stderr)
    publish("servers", "\n".join(table(results)))


if __name__ == "__main__":
    main()
