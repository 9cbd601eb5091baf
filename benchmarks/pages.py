"""The whole way: the same page of a generated application and of what people would pick instead.

Each application is as its framework's documentation begins one, runs under waitress with four
threads, calls the same function of PostgreSQL, and renders its ten rows with its own template
engine. wrk asks for the page on eight connections. The applications take turns.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg2
from psycopg2.extensions import parse_dsn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from projects import answers, change, create, free_port, paster, wait_until  # noqa: E402
from report import publish  # noqa: E402

from simpycity_template import embedded  # noqa: E402

THREADS = 4
CONNECTIONS = 8
SECONDS = 3
ROUNDS = 3

FUNCTION = """
CREATE FUNCTION get_rows(how_many int) RETURNS TABLE (id int, body text)
LANGUAGE sql STABLE AS $$ SELECT n, 'note ' || n FROM generate_series(1, how_many) AS n $$
"""

# Each application is in a module `wsgi` of its folder, and is served by this.
SERVE = f"""
import logging, sys, waitress
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
def serving(folder):
    """Serve the application of ``folder``; yields the address of its page."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], cwd=folder)
    try:
        wait_until(lambda: answers(address) or server.poll() is not None)
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


def compare_pages(dsn, rounds=ROUNDS):
    """A list of rounds for each application: requests per second, and two latencies."""
    parts = parse_dsn(dsn)
    where = {
        "dsn": dsn,
        "port": "5432",
        "url": f"postgresql+psycopg2://{parts['user']}@/{parts['dbname']}?host={parts['host']}",
        **parts,
    }
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    connection.cursor().execute(FUNCTION)
    connection.close()
    results = {name: [] for name in APPLICATIONS}
    with tempfile.TemporaryDirectory() as directory:
        folders = {}
        for number, (name, make) in enumerate(APPLICATIONS.items()):
            folder = Path(directory) / str(number)
            folder.mkdir()
            folders[name] = make(folder, where)
        for _ in range(rounds):
            for name, folder in folders.items():
                with serving(folder) as page:
                    ask(page, 1)
                    results[name].append(ask(page))
                print(".", end="", flush=True, file=sys.stderr)
    return results


def beginnings(rounds=ROUNDS):
    """Seconds for `paster create`, and for `paster serve` to answer, server initialised."""
    seconds = {"paster create": [], "paster serve, until it answers": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            began = perf_counter()
            project = create(Path(directory), "Begin")
            seconds["paster create"].append(perf_counter() - began)
            done = paster("setup-app", "development.ini", cwd=project)
            assert done.returncode == 0, done.stderr
            port = free_port()
            change(project / "development.ini", "port", str(port))
            began = perf_counter()
            server = subprocess.Popen(
                [Path(sys.executable).with_name("paster"), "serve", "development.ini"],
                cwd=project,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                # A page of the application, which asks PostgreSQL.
                wait_until(lambda port=port: answers(f"http://127.0.0.1:{port}", "/"))
                seconds["paster serve, until it answers"].append(perf_counter() - began)
            finally:
                server.terminate()
                server.wait(30)
    return seconds


def report(pages, seconds):
    """The tables, as text."""
    lines = []
    if pages:
        lines.append(f"{'':32}{'requests/s':>22}{'p50 ms':>9}{'p99 ms':>9}")
        for name, rounds in pages.items():
            rates, half, most = zip(*rounds, strict=True)
            spread = f"{median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
            lines.append(f"{name:32}{spread:>22}{median(half) * 1e3:9.1f}{median(most) * 1e3:9.1f}")
    else:
        lines.append("The pages were not compared: there is no wrk (Debian's package `wrk`).")
    lines.append("")
    for name, rounds in seconds.items():
        lines.append(f"{name}: {median(rounds):.2f} s ({min(rounds):.2f}-{max(rounds):.2f})")
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
