"""The whole way: the same page of a generated application and of what people would pick instead.

Each application is as its framework's documentation begins one, runs under waitress with four
threads, calls the same function of PostgreSQL, and renders its ten rows with its own template
engine. wrk asks for the page on eight connections. All are served the whole time and take turns, each
round in another order, so that whatever else the machine does hits all alike.

Once the threads of an application share one core, as where there is a process for each core, and once
they may use all: there they fight for Python's lock, which costs more than the page does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import perf_counter

import psycopg2
from psycopg2.extensions import parse_dsn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from projects import (  # noqa: E402
    PASTER,
    answers,
    change,
    create,
    paster,
    set_up,
)
from report import publish  # noqa: E402
from support import free_port, until  # noqa: E402

from simpycity_template import embedded  # noqa: E402

THREADS = 4
CONNECTIONS = 8
SECONDS = 4
ROUNDS = 7
CORES = {
    "The application's threads on one core:": 1,
    "On all cores:": os.cpu_count(),
}
BEGINNINGS = 5

FUNCTION = """
CREATE FUNCTION get_rows(how_many int) RETURNS TABLE (id int, body text)
LANGUAGE sql STABLE AS $$ SELECT n, 'note ' || n FROM generate_series(1, how_many) AS n $$
"""

# Each application is in a module `wsgi` of its folder, and is served by this.
SERVE = f"""
import logging, os, sys, waitress
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
logging.disable(logging.WARNING)
sys.path.insert(0, "")
from wsgi import application
waitress.serve(application, host="127.0.0.1", port=sys.argv[1], threads={THREADS})
"""

LOAD = """
from paste.deploy import loadapp
application = loadapp("config:development.ini", relative_to=".")
"""

MAKO = """
<!DOCTYPE html>
<html><head><title>Rows</title></head><body><ul>
% for row in c.rows:
<li>${row["id"]}: ${row["body"]}</li>
% endfor
</ul></body></html>
"""

OURS = """
from pylons import tmpl_context as c
from simpycity.core import Function
from rows.lib.base import BaseController, render

get_rows = Function("get_rows", ["how_many"])

class RowsController(BaseController):
    def index(self):
        c.rows = get_rows(10).fetchall()
        return render("/rows.mako")
"""

SQLALCHEMY = """
from pylons import tmpl_context as c
from sqlalchemy import text
from rows.lib.base import BaseController, render
from rows.model.meta import Session

get_rows = text("SELECT * FROM get_rows(:how_many)")

class RowsController(BaseController):
    def index(self):
        c.rows = Session.execute(get_rows, {"how_many": 10}).mappings().all()
        return render("/rows.mako")
"""

JINJA = """
<!DOCTYPE html>
<html><head><title>Rows</title></head><body><ul>
{% for row in rows %}
<li>{{ row.id }}: {{ row.body }}</li>
{% endfor %}
</ul></body></html>
"""

FLASK = """
from flask import Flask, render_template
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

application = Flask(__name__)
application.config["SQLALCHEMY_DATABASE_URI"] = %(url)r
db = SQLAlchemy(application)
get_rows = text("SELECT * FROM get_rows(:how_many)")

@application.route("/rows/index")
def index():
    rows = db.session.execute(get_rows, {"how_many": 10}).mappings().all()
    return render_template("rows.html", rows=rows)
"""

DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.shortcuts import render
from django.urls import path

settings.configure(
    SECRET_KEY="none",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["templates"]}
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": %(host)r,
            "PORT": %(port)r,
            "USER": %(user)r,
            "NAME": %(dbname)r,
            "CONN_MAX_AGE": None,
        }
    },
)

def index(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM get_rows(%%s)", [10])
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row)) for row in cursor.fetchall()]
    return render(request, "rows.html", {"rows": rows})

urlpatterns = [path("rows/index", index)]
application = get_wsgi_application()
"""


def write(folder, files):
    """Write texts into files, whose folders may be new."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def ours(folder, where):
    """A project that this template generates, with the settings of production."""
    project = create(folder, "Rows", "example=False")
    ini = project / "development.ini"
    change(ini, "debug", "false")
    change(ini, "simpycity.dsn", where["dsn"])
    change(ini, "simpycity.status_page", "false")
    change(ini, "simpycity.tag_statements", "false")
    change(ini, "simpycity.hold_warning", "0")
    files = {"controllers/rows.py": OURS, "templates/rows.mako": MAKO}
    write(project / "rows", files)
    return write(project, {"wsgi.py": LOAD})


def pylons(folder, where):
    """A project that Pylons' own template generates, with SQLAlchemy."""
    done = paster(
        "create", "-q", "-t", "pylons", "Rows", "sqlalchemy=True", "--no-interactive", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    project = folder / "Rows"
    ini = project / "development.ini"
    change(ini, "debug", "false")
    change(ini, "sqlalchemy.url", where["url"])
    write(project / "rows", {"controllers/rows.py": SQLALCHEMY, "templates/rows.mako": MAKO})
    return write(project, {"wsgi.py": LOAD})


def flask(folder, where):
    return write(folder, {"wsgi.py": FLASK % where, "templates/rows.html": JINJA})


def django(folder, where):
    return write(folder, {"wsgi.py": DJANGO % where, "templates/rows.html": JINJA})


APPLICATIONS = {
    "generated by this template": ours,
    "Pylons' template, SQLAlchemy": pylons,
    "Flask, Flask-SQLAlchemy": flask,
    "Django": django,
}


@contextmanager
def serving(folder, command):
    """Serve the application of ``folder``; yields the address of its page.

    Arguments:
        folder: with its module `wsgi`.
        command: that serves it, with PORT in the place of the port.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    words = [word.replace("PORT", str(port)) for word in command]
    server = subprocess.Popen(words, cwd=folder)
    try:
        until(lambda: answers(address) or server.poll() is not None)
        assert server.poll() is None, folder
        yield f"{address}/rows/index"
    finally:
        server.terminate()
        server.wait(30)


def ask(page, seconds=SECONDS):
    """Requests per second, and the seconds in which half and 99 of 100 were answered."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", page],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "Non-2xx" not in done and "Socket errors" not in done, done
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

    def after(word):
        number, unit = re.search(rf"{word} +([\d.]+)(us|ms|s)", done).groups()
        return float(number) * units[unit]

    return float(re.search(r"Requests/sec: +([\d.]+)", done)[1]), after("50%"), after("99%")


def prepare(dsn):
    """Make the function that all call."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    connection.cursor().execute(FUNCTION)
    connection.close()


def compare_pages(dsn, rounds=ROUNDS):
    """By cores, a list of rounds for each application: requests per second, and two latencies."""
    parts = parse_dsn(dsn)
    where = {
        "dsn": dsn,
        "port": "5432",
        "url": f"postgresql+psycopg2://{parts['user']}@/{parts['dbname']}?host={parts['host']}",
        **parts,
    }
    prepare(dsn)
    with tempfile.TemporaryDirectory() as directory:
        folders = {}
        for number, (name, make) in enumerate(APPLICATIONS.items()):
            folder = Path(directory) / str(number)
            folder.mkdir()
            folders[name] = make(folder, where)
        return {title: take_turns(folders, cores, rounds) for title, cores in CORES.items()}


def take_turns(folders, cores, rounds):
    """The rounds of each application, all of them served at once on as many ``cores``."""
    with ExitStack() as servers:
        pages = {}
        for name, folder in folders.items():
            command = [sys.executable, "-c", SERVE, "PORT", str(cores)]
            pages[name] = servers.enter_context(serving(folder, command))
        return ask_in_turns(pages, rounds)


def ask_in_turns(pages, rounds):
    """The rounds of each page, by its name."""
    results = {name: [] for name in pages}
    for page in pages.values():
        ask(page)  # not counted: the first requests import and compile
    for number in range(rounds):
        for name in Random(number).sample([*pages], len(pages)):
            results[name].append(ask(pages[name]))
        print(".", end="", flush=True, file=sys.stderr)
    return results


def beginnings(rounds=BEGINNINGS):
    """Seconds for `paster create`, and for `paster serve` to answer, server initialised."""
    created, first, later = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            began = perf_counter()
            # Not create(), whose paster has loaded Pylons before.
            command = [PASTER, "create", "-q", "-t", "simpycity", "--no-interactive", "Begin"]
            subprocess.run(command, cwd=directory, check=True)
            created.append(perf_counter() - began)
            project = Path(directory) / "Begin"
            set_up(project)
            later.append(until_it_answers(project))
            forget_translations()
            first.append(until_it_answers(project))
    return {
        "paster create": created,
        "paster serve, until it answers": later,
        "the same, when Pylons is translated for the first time": first,
    }


def until_it_answers(project):
    """Seconds that `paster serve` takes to answer with a page that asks PostgreSQL."""
    port = free_port()
    change(project / "development.ini", "port", str(port))
    began = perf_counter()
    server = subprocess.Popen(
        [PASTER, "serve", "development.ini"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}", "/"))
        return perf_counter() - began
    finally:
        server.terminate()
        server.wait(30)


def forget_translations():
    """Delete what is kept of Pylons' translation, as it is right after installing."""
    for package in ("pylons", "webhelpers"):
        for file in Path(find_spec(package).origin).parent.rglob("*.opt-pylonspy3*.pyc"):
            file.unlink()


def spread(values, digits=1):
    """The median, and in brackets the quartiles."""
    low, middle, high = quantiles(values, n=4)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(results):
    """The lines of a table: the rounds of each name."""
    yield f"{'':30}{'requests/s':>15}{'p50 ms':>20}{'p99 ms':>20}"
    for name, rounds in results.items():
        rates, half, most = zip(*rounds, strict=True)
        yield (
            f"{name:30}{spread(rates, 0):>15}"
            f"{spread([value * 1e3 for value in half]):>20}"
            f"{spread([value * 1e3 for value in most]):>20}"
        )


def report(pages, seconds):
    """The tables, as text."""
    lines = []
    if not pages:
        lines += ["The pages were not compared: there is no wrk (Debian's package `wrk`).", ""]
    for title, results in (pages or {}).items():
        lines += [title, "", *table(results), ""]
    for name, rounds in seconds.items():
        lines.append(f"{name}: {median(rounds):.2f} s ({min(rounds):.2f} to {max(rounds):.2f})")
    return "\n".join(lines)


def main():
    """Measure, and publish."""
    # As users have it: what was compiled, and what was translated from Python 2, is kept.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    pages = None
    if shutil.which("wrk"):
        with tempfile.TemporaryDirectory() as directory:
            pages = compare_pages(embedded.dsn(directory, "pages"))
    print(file=sys.stderr)
    publish("pages", report(pages, beginnings()))


if __name__ == "__main__":
    main()
