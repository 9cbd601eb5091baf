"""The Python servers of the page on deployment: what starts each, and what it reads."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from projects import PASTER
from serving import HERE, on_page, with_changes

PROGRAMS = Path(sys.executable).parent

# Without a server of its own; the page's wsgi.py reads it.
PRODUCTION_INI = """
[app:main]
paste.app_factory = probe:app_factory

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys =

[logger_root]
level = INFO
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
"""


@dataclass(frozen=True)
class Server:
    """A server of the application in ``wsgi.py`` or in ``production.ini``.

    Arguments:
        command: what starts it.
        files: what it reads besides, by name.
        most: sessions that may stay, idle: five for each pool, and what the master has opened.
    """

    command: list[str]
    files: dict[str, str]
    most: int


def block(name: str, *changes: dict[str, str]) -> str:
    """A block of the page, on the test's port."""
    return with_changes(on_page(name), {"8000": "{port}"}, *changes)


def gunicorn(name: str, *changes: dict[str, str]) -> Server:
    """gunicorn with that block of the page."""
    files = {"gunicorn.conf.py": block(name, *changes)}
    return Server([str(PROGRAMS / "gunicorn")], files, most=2 * 5 + 1)


def uwsgi(*changes: dict[str, str], more: str = "") -> Server:
    """uWSGI with the block of the page, and lines after it."""
    files = {"uwsgi.ini": block("uwsgi.ini", *changes) + more}
    return Server([str(PROGRAMS / "uwsgi"), "uwsgi.ini"], files, most=2 * 5 + 1)


def paster(name: str) -> Server:
    """``paster serve`` with that block of the page."""
    files = {"production.ini": block(name) + PRODUCTION_INI}
    return Server([PASTER, "serve", "production.ini"], files, most=5)


def cheroot() -> Server:
    """cheroot with the command of the page."""
    path, program, *arguments = shlex.split(block("cheroot"))
    return Server(["env", f"{path}{os.pathsep}{HERE}", str(PROGRAMS / program), *arguments], {}, 5)


WITHOUT_PRELOAD = {"preload_app = True\n": ""}
SERVERS = {
    "gunicorn sync": gunicorn("gunicorn.conf.py", {'"gthread"': '"sync"', "threads = 8\n": ""}),
    "gunicorn gthread": gunicorn("gunicorn.conf.py"),
    "gunicorn gevent": gunicorn("gunicorn_gevent.conf.py"),
    "gunicorn gevent without preload": gunicorn("gunicorn_gevent.conf.py", WITHOUT_PRELOAD),
    "uWSGI": uwsgi(),
    "uWSGI lazy-apps": uwsgi(more="lazy-apps = true\n"),
    "waitress": paster("waitress.ini"),
    "Paste#http": paster("paste.ini"),
    "cheroot": cheroot(),
}

# Which load the application before they fork, and which work on several requests at once.
PRELOADING = ["gunicorn sync", "gunicorn gthread", "gunicorn gevent", "uWSGI"]
FORKING = [name for name in SERVERS if name.startswith(("gunicorn", "uWSGI"))]
CONCURRENT = [name for name in SERVERS if name != "gunicorn sync"]
