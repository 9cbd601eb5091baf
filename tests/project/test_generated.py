"""A generated project, served and used as a user would: pages, commands, its own tests, its wheel."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psycopg2
import pytest
from pages import blocks
from projects import (
    ENGINES,
    Visitor,
    change,
    create,
    paster,
    python,
    run,
    served,
    set_up,
)
from psycopg2.extensions import parse_dsn
from support import PATIENCE, until

pytestmark = pytest.mark.slow(seconds=45)

BROKEN = '''"""Fails."""

from {package}.lib.base import BaseController


class BrokenController(BaseController):
    def index(self):
        raise RuntimeError("the secret of the house")
'''

SHOW = '''"""Shows the page that is asked for."""

from {package}.lib.base import BaseController, render


class PagesController(BaseController):
    def show(self, id):
        return render(id)
'''

WITHOUT_TITLE = {
    "mako": '<%inherit file="base.mako"/><p>${EXPRESSION}</p>',
    "jinja2": '{% extends "base.jinja2" %}{% block main %}<p>{{ EXPRESSION }}</p>{% endblock %}',
    "genshi": """<html xmlns:xi="http://www.w3.org/2001/XInclude">
        <xi:include href="base.html" /><head/><body><p>${EXPRESSION}</p></body></html>""",
}


# Asks for one connection more than there are.
BUSY = """
from {package}.lib.base import BaseController
from {package}.model.meta import manager


class BusyController(BaseController):
    def index(self):
        handles = []
        while True:
            handles.append(manager.open())
"""

# Holds a connection until that was logged, and forgets to commit.
HOLDING = """
import time

from pylons.controllers.util import abort, redirect

from {package}.lib.base import BaseController
from {package}.model.meta import manager


class HoldingController(BaseController):
    def index(self):
        deadline = time.monotonic() + 300
        manager.handle().execute("SELECT 1")
        while not manager.metrics().hold_warnings and time.monotonic() < deadline:
            time.sleep(0.01)
        return "told" if manager.metrics().hold_warnings else "waited in vain"

    def forget(self):
        manager.handle().execute("CREATE TABLE list AS SELECT 'Milk' AS item")
        manager.commit()
        manager.handle().execute("INSERT INTO list VALUES ('Bread')")
        redirect("/style.css")

    def refuse(self):
        manager.handle().execute("INSERT INTO list VALUES ('Wine')")
        abort(404, "There is no such list.")
"""


def add_controller(project, name, text):
    package = project.name.lower()
    (project / package / "controllers" / f"{name}.py").write_text(
        text.replace("{package}", package)
    )


@pytest.fixture(scope="session", params=ENGINES)
def site(request, tmp_path_factory, server):
    """The address of a project that is set up and served, one for each engine."""
    project = create(
        tmp_path_factory.mktemp("site"),
        "HelloWorld",
        f"template_engine={request.param}",
        f"dsn={server.create_database()}",
    )
    add_controller(project, "broken", BROKEN)
    add_controller(project, "pages", SHOW)
    for name, expression in (("plain", "40 + 2"), ("misspelt", "c.nothing")):
        page = WITHOUT_TITLE[request.param].replace("EXPRESSION", expression)
        (project / "helloworld/templates" / name).write_text(page)
    set_up(project)
    with served(project) as address:
        yield address


@pytest.fixture
def newcomer(made, tmp_path):
    """A project of the test's own, on an embedded PostgreSQL that does not run yet."""
    return Path(shutil.copytree(made, tmp_path / "HelloWorld"))


@pytest.fixture
def project(newcomer, server):
    """A project of the test's own, on two empty databases."""
    change(newcomer / "development.ini", "simpycity.dsn", server.create_database())
    of_tests = parse_dsn(server.create_database())["dbname"]
    change(newcomer / "test.ini", "simpycity.database", of_tests)
    return newcomer


@pytest.fixture
def visitor(site):
    return Visitor(site)


# --- pages ---


class TestPages:
    def test_the_welcome_page_shows_postgresql_and_the_connections(self, visitor):
        page = visitor.get("/")
        assert visitor.status == 200
        assert "HelloWorld is running" in page
        assert re.search(r'<h2>PostgreSQL</h2>\s*<p class="figure">\d+\.\d+</p>', page)
        assert re.search(r'<h2>Connections in use</h2>\s*<p class="figure">1</p>', page)
        assert "<td>GET /</td>" in page
        assert re.search(r'process:\s*<a href="/_connections">who has them, live</a>\s*</p>', page)
        assert "paster setup-app development.ini" in page

    def test_pages_are_whole_html_that_needs_nothing_from_elsewhere(self, visitor):
        for path in ("/", "/notes", "/nowhere"):
            page = visitor.get(path).strip()
            assert page.startswith("<!DOCTYPE html>")
            assert page.endswith("</html>")
            assert "[[" not in page
            assert "{{" not in page
            assert not re.search(r'(src|href)="(https?:)?//', page)
        for path in re.findall(r'(?:src|href)="(/[\w.]+\.\w+)"', page):
            visitor.get(path)
            assert visitor.status == 200

    def test_the_page_of_the_connections_is_there(self, visitor):
        assert "Connections of" in visitor.get("/_connections")
        shown = json.loads(visitor.get("/_connections.json"))
        assert shown["name"] == "helloworld"
        assert shown["metrics"]["in_use"] == 0
        assert shown["problem"] is None

    def test_a_note_is_kept_shown_and_deleted(self, visitor):
        visitor.get("/notes")
        page = visitor.post("/notes", title="Milk", body="Two\n\nbottles", **visitor.token())
        assert visitor.status == 200
        assert "<h2>Milk</h2>" in page
        assert re.search(r"Two\r?\n\r?\nbottles", page)
        delete = re.search(r"/notes/\d+/delete", page)[0]
        assert "<h2>Milk</h2>" not in visitor.post(delete, **visitor.token())
        visitor.post(delete, **visitor.token())
        assert visitor.status == 404
        assert "There is no such note." in visitor.text

    def test_text_is_escaped_wherever_it_is_shown(self, visitor):
        evil = "\"'><script>alert(1)</script>"
        visitor.get("/notes")
        page = visitor.post("/notes", title=evil, body=evil, **visitor.token())
        assert page.count("&lt;script&gt;") == 2
        assert "<script>" not in page
        page = visitor.post("/notes", title=evil * 10, body=evil, **visitor.token())
        assert "A note needs a title" in page
        assert "&lt;script&gt;" in page
        assert "<script>" not in page

    @pytest.mark.parametrize("title", ["", "  ", "x" * 101, "a\0b"])
    def test_a_note_without_a_proper_title_is_given_back(self, visitor, title):
        visitor.get("/notes")
        page = visitor.post("/notes", title=title, body="kept", **visitor.token())
        assert visitor.status == 200
        assert "A note needs a title" in page
        assert "kept</textarea>" in page

    def test_a_file_in_place_of_a_title_is_no_title(self, visitor):
        visitor.get("/notes")
        page = visitor.upload("/notes", "title", body="kept", **visitor.token())
        assert (visitor.status, "A note needs a title" in page) == (200, True)

    @pytest.mark.parametrize("number", ["", "/abc", "/%D9%A3", "/1234567890123456789"])
    def test_a_note_that_no_number_names_is_not_found(self, visitor, number):
        visitor.get("/notes")
        page = visitor.post(f"/notebook/delete{number}", **visitor.token())
        assert (visitor.status, "<h1>Not Found</h1>" in page) == (404, True)

    def test_a_forged_form_is_refused(self, visitor):
        visitor.get("/notes")
        page = visitor.post("/notes", title="Forged", _authentication_token="1234")
        assert visitor.status == 403
        assert "<h1>Forbidden</h1>" in page
        assert "Forged" not in visitor.get("/notes")

    def test_an_action_that_writes_does_not_answer_get(self, visitor):
        for path in ("/notebook/add", "/notebook/delete", "/notebook/delete/1"):
            visitor.get(path)
            assert visitor.status == 405

    def test_an_address_that_is_not_there_has_a_page_of_the_application(self, visitor):
        page = visitor.get("/nowhere")
        assert visitor.status == 404
        assert "<h1>Not Found</h1>" in page
        assert "There is no such page." in page
        assert 'class="brand"' in page

    def test_a_page_without_a_title_has_the_title_of_the_project(self, visitor):
        page = visitor.get("/pages/show/plain")
        assert visitor.status == 200, page
        assert "<p>42</p>" in page
        assert re.findall("<title>(.*)</title>", page) == ["HelloWorld"]
        titles = re.findall("<title>(.*)</title>", visitor.get("/nowhere"))
        assert titles == ["Not Found"]

    def test_a_name_that_a_page_misspells_is_an_error(self, visitor):
        visitor.get("/pages/show/misspelt")
        assert visitor.status == 500
        assert "nothing" in visitor.text

    def test_in_development_an_error_shows_the_debugger(self, visitor):
        page = visitor.get("/broken/index")
        assert visitor.status == 500
        assert "the secret of the house" in page
        assert "broken.py" in page

    def test_a_session_is_json_that_only_the_application_can_change(self, visitor):
        visitor.get("/notes")
        cookie = visitor.headers["Set-Cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        signed = re.match(r'helloworld="?([^;"]+)', cookie)[1]
        probe = "import base64, json, sys, zlib; print(list(json.loads(zlib.decompress(base64.b64decode(sys.argv[1])))))"
        keys = run(sys.executable, "-c", probe, signed[40:], cwd=Path.cwd()).stdout
        assert "_authentication_token" in keys
        stranger = Visitor(visitor.address)
        stranger._opener.addheaders = [("Cookie", cookie.replace(signed[:4], "0000", 1))]
        stranger.get("/notes")
        assert stranger.status == 200
        assert stranger.token() != visitor.token()


class TestBeforeSetUp:
    @pytest.mark.process
    def test_the_project_runs_at_once_and_says_how_to_get_the_schema(self, newcomer):
        with served(newcomer) as address:
            visitor = Visitor(address)
            assert "HelloWorld is running" in visitor.get("/")
            page = visitor.get("/notes")
            assert visitor.status == 503
            assert "paster setup-app development.ini" in page
            set_up(newcomer)
            assert "There are no notes yet." in visitor.get("/notes")


# --- commands ---


class TestSetupApp:
    def test_twice_in_a_row_is_harmless(self, project):
        set_up(project)
        set_up(project)

    def test_a_mistake_in_the_schema_is_told_in_one_line_and_applies_nothing(self, project):
        schema = project / "helloworld/model/schema.sql"
        lines = len(schema.read_text().splitlines())
        schema.write_text(schema.read_text() + "SELECT nix;\n")
        done = paster("setup-app", "development.ini", cwd=project)
        assert done.returncode == 1
        assert f"schema.sql, line {lines + 1}: column " in done.stderr
        assert '"nix" does not exist' in done.stderr
        assert "Traceback" not in done.stderr
        with served(project) as address:
            visitor = Visitor(address)
            visitor.get("/notes")
            assert visitor.status == 503


class TestCommands:
    def test_controllers_can_be_added_and_the_projects_own_tests_pass(self, project):
        commands = {
            "controller notes": 'map.connect("/notes", controller="notes", action="index")',
            "restcontroller entry entries": 'map.resource("entry", "entries")',
            "restcontroller admin/page admin/pages": 'map.resource("page", "pages", controller="adm',
        }
        for command, route in commands.items():
            done = paster(*command.split(), cwd=project)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "helloworld/config/routing.py:\n" in done.stdout
            assert f"    {route}" in done.stdout
        # An unused import, say.
        lint = run(sys.executable, "-m", "ruff", "check", "--select=E4,E7,E9,F,I", ".", cwd=project)
        assert lint.returncode == 0, lint.stdout
        tests = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
        assert re.search(r"\b20 passed", tests.stdout), tests.stdout
        assert "warning" not in tests.stdout
        routes = paster("routes", cwd=project)
        assert "/entries" in routes.stdout
        assert "/notes/{id}/delete" in routes.stdout

    @pytest.mark.process
    def test_the_tests_leave_the_data_of_development_alone(self, newcomer):
        set_up(newcomer)
        with served(newcomer) as address:
            visitor = Visitor(address)
            visitor.get("/notes")
            visitor.post("/notes", title="Mine", **visitor.token())
            assert python("-m", "pytest", "-q", cwd=newcomer).returncode == 0
            assert re.findall("<h2>(.*)</h2>", visitor.get("/notes")) == ["Mine"]

    @pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "two"])
    def test_its_tests_leave_no_row_behind_and_workers_have_databases(
        self, project, server, workers
    ):
        plugins = ["-p", "xdist"] if workers else []
        tests = python("-m", "pytest", "-q", *plugins, *workers, cwd=project)
        assert tests.returncode == 0 and " passed" in tests.stdout, tests.stdout
        (of_tests,) = re.findall(
            r"(?m)^simpycity\.database = (.*)", (project / "test.ini").read_text()
        )
        for name in [f"{of_tests}_gw{n}" for n in range(2)] if workers else [of_tests]:
            link = server.connect(name)
            with link.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM note")
                assert cursor.fetchone()[0] == 0
            link.close()

    def test_the_shell_has_the_model_and_the_application(self, project):
        done = paster(
            "shell",
            cwd=project,
            input="print(model.manager.name, app.get('/').status, len(model.manager.status()))\n",
        )
        assert "helloworld 200 1" in done.stdout, done.stdout + done.stderr

    @pytest.mark.parametrize("engine", ENGINES)
    def test_without_the_example_the_projects_own_tests_pass(self, tmp_path, server, engine):
        dsn = f"dsn={server.create_database()}"
        project = create(tmp_path, "Plain", f"template_engine={engine}", "example=False", dsn)
        of_tests = parse_dsn(server.create_database())["dbname"]
        change(project / "test.ini", "simpycity.database", of_tests)
        tests = python("-m", "pytest", "-q", cwd=project)
        assert "3 passed" in tests.stdout, tests.stdout

    def test_a_connection_held_for_long_and_a_forgotten_commit_are_in_the_log_of_development(
        self, project
    ):
        ini = project / "development.ini"
        assert "\nsimpycity.hold_warning = 10\n" in ini.read_text()
        change(ini, "simpycity.hold_warning", "0.1")
        add_controller(project, "holding", HOLDING)
        with served(project) as address:
            assert Visitor(address).get("/holding/index") == "told"
            assert "body" in Visitor(address).get("/holding/forget")
            assert "There is no such list." in Visitor(address).get("/holding/refuse")
        log = (project / "serve.log").read_text()
        (forgotten,) = re.findall(r"WARNI .*nobody called commit.*", log)
        assert "'GET /holding/forget' changed 1 row of list and was rolled back" in forgotten
        assert "at helloworld/controllers/holding.py:21 in forget (" in forgotten
        # On a busy machine other requests may hold theirs for that long, too.
        (told,) = re.findall(r"WARNI .*a connection is held for .*'GET /holding/index'.*", log)
        assert "helloworld/controllers/holding.py:13 in index" in told

    def test_serve_with_reload_takes_up_a_change(self, project):
        controller = project / "helloworld/controllers/welcome.py"
        with served(project, "development.ini", "--reload") as address:
            visitor = Visitor(address)
            assert "18." in visitor.get("/")
            controller.write_text(
                controller.read_text().replace(
                    'setting("server_version")[0]', '"changed"  # for the test'
                )
            )

            def changed():
                # Until the reloader has seen a module once, it takes a change for its beginning.
                controller.touch()
                try:
                    return "changed" in visitor.get("/")
                except (OSError, http.client.HTTPException):
                    # It stops in the middle of an answer, too.
                    return False

            until(changed)

    def test_serve_with_reload_applies_a_changed_schema_where_it_is_told_to(self, project):
        model = project / "helloworld/model"
        ini = project / "development.ini"
        ini.write_text(ini.read_text().replace("#simpycity.apply_schema", "simpycity.apply_schema"))
        with served(project, "development.ini", "--reload") as address:
            visitor = Visitor(address)
            visitor.get("/notes")
            assert visitor.status == 200
            (model / "migrations/0002_motto.sql").write_text(
                "INSERT INTO note (title) VALUES ('From a migration');"
            )

            schema = model / "schema.sql"

            def changed():
                # Until the reloader has seen a file once, it takes a change for its beginning.
                schema.touch()
                try:
                    return "From a migration" in visitor.get("/notes")
                except (OSError, http.client.HTTPException):
                    return False

            until(changed)
            # A mistake is told, and waited for.
            text = schema.read_text()
            schema.write_text(text + "SELECT nix;")
            log = project / "serve.log"

            def told():
                schema.touch()
                return 'column "nix" does not exist' in log.read_text()

            until(told)
            assert "Traceback" not in log.read_text()
            schema.write_text(text)
            until(changed)

    def test_in_development_an_error_of_a_database_that_is_behind_says_so(self, project):
        set_up(project)
        schema = project / "helloworld/model/schema.sql"
        with served(project) as address:
            visitor = Visitor(address)
            run_sql(project, "DROP FUNCTION note_add")
            visitor.get("/notes")
            # Somebody has dropped it: the files have nothing that is new.
            page = visitor.post("/notes", title="Milk", body="", **visitor.token())
            assert visitor.status == 500
            assert "The database is behind" not in page
            schema.write_text(schema.read_text() + "-- as another branch has it\n")
            visitor.get("/notes")
            page = visitor.post("/notes", title="Milk", body="", **visitor.token())
            assert "The database is behind its files: paster setup-app development.ini" in page
        log = (project / "serve.log").read_text()
        assert "The database is behind its files: paster setup-app development.ini" in log


def run_sql(project, statement):
    """Run a statement in the project's database, beside the project."""
    (dsn,) = re.findall(r"(?m)^simpycity\.dsn = (.*)", (project / "development.ini").read_text())
    link = psycopg2.connect(dsn)
    link.cursor().execute(statement)
    link.commit()
    link.close()


class TestProduction:
    @pytest.fixture
    def production(self, project, server):
        add_controller(project, "broken", BROKEN)
        done = paster("make-config", "HelloWorld", "production.ini", cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
        return project

    def test_without_a_dsn_it_says_which_setting_is_missing(self, production):
        for command in ("serve", "setup-app"):
            done = paster(command, "production.ini", cwd=production)
            assert done.returncode != 0
            assert done.stderr == ""
            said = done.stdout.splitlines()[-1]
            assert "production.ini: simpycity.dsn is not set: give a libpq DSN" in said

    @pytest.mark.parametrize("secret", ["beaker.session.secret =\n", ""])
    def test_without_the_secret_of_sessions_nothing_starts(self, project, secret):
        ini = project / "development.ini"
        text = ini.read_text()
        text = re.sub(r"(?m)^beaker\.session\.secret = .*\n", secret, text)
        if not secret:
            text = re.sub(r"(?m)^beaker\.session\.validate_key = .*\n", "", text)
        ini.write_text(text)
        done = paster("setup-app", "development.ini", cwd=project)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        said = done.stdout.splitlines()[-1]
        assert "development.ini: beaker.session.validate_key is not set; it is a long text" in said

    def test_an_embedded_server_that_cannot_start_is_a_sentence(self, project):
        change(project / "development.ini", "simpycity.dsn", "embedded:/dev/null/postgres")
        done = paster("setup-app", "development.ini", cwd=project)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert "cannot use /dev/null: Not a directory" in done.stderr.splitlines()[-1]

    def test_each_configuration_has_a_secret_of_its_own(self, production):
        paster("make-config", "HelloWorld", "second.ini", cwd=production)
        secrets = {
            re.search(r"(?m)^beaker.session.secret = (.{20,})$", (production / ini).read_text())[1]
            for ini in ("development.ini", "production.ini", "second.ini")
        }
        assert len(secrets) == 3

    @pytest.mark.parametrize("ini", ["development.ini", "production.ini"])
    def test_a_changed_template_is_read_again_in_development_only(self, production, dsn, ini):
        change(production / ini, "simpycity.dsn", dsn)
        template = production / "helloworld/templates/welcome.mako"
        with served(production, ini) as address:
            visitor = Visitor(address)
            assert "as changed" not in visitor.get("/")
            template.write_text("as changed")
            os.utime(template, (time.time() + 2,) * 2)  # Mako compares whole seconds.
            assert ("as changed" in visitor.get("/")) == (ini == "development.ini")
        with served(production, ini) as address:
            assert "as changed" in Visitor(address).get("/")

    def test_where_all_connections_are_in_use_it_says_when_to_ask_again(self, production, dsn):
        settings = "simpycity.max_overflow = 0\nsimpycity.pool_timeout = 0.1"
        change(production / "production.ini", "simpycity.dsn", f"{dsn}\n{settings}")
        add_controller(production, "busy", BUSY)
        with served(production, "production.ini") as address:
            visitor = Visitor(address)
            page = visitor.get("/busy/index")
            assert visitor.status == 503
            assert visitor.headers["Retry-After"] == "10"
            assert "Please try again later" in page
        assert "PoolTimeout" in (production / "serve.log").read_text()

    def test_an_error_shows_a_page_of_the_application_and_no_debugger(self, production, dsn):
        change(production / "production.ini", "simpycity.dsn", dsn)
        with served(production, "production.ini") as address:
            visitor = Visitor(address)
            visitor.get("/_connections")
            assert visitor.status == 404
            page = visitor.get("/broken/index")
        assert visitor.status == 500
        assert "<h1>Internal Server Error</h1>" in page
        assert "Something went wrong here, and it was logged." in page
        assert 'class="brand"' in page
        assert "secret" not in page
        assert "Traceback" not in page
        assert "the secret of the house" in (production / "serve.log").read_text()


BOTH = """
from simpycity.core import Function
from simpycity.model import SimpleModel

from helloworld.lib.base import BaseController
from helloworld.model.meta import reports

{model}

name = Function("current_database")


class BothController(BaseController):
    def index(self):
        theirs = name(options={{"handle": Sale.config.handle_factory()}})
        names = [each.fetchone()[0] for each in (name(), theirs)]
        return " ".join([*names, str(totals().fetchone()[0])])
"""


def test_a_second_database_is_added_as_the_readme_says(newcomer, server):
    readme = blocks(str(newcomer / "README.txt"))
    added = [block.text for block in readme if "reports" in block.text]
    ini, meta, configure, cleanup, model = added
    first, second = server.create_database(), server.create_database()
    names = [parse_dsn(dsn)["dbname"] for dsn in (first, second)]
    line = ini.replace("host=archive dbname=reports", second)
    change(newcomer / "development.ini", "simpycity.dsn", f"{first}\n{line}")
    package = newcomer / "helloworld"
    with (package / "model" / "meta.py").open("a") as file:
        file.write(meta)
    for name, before, after in (
        ("model/__init__.py", "    manager.configure(config)\n", configure),
        ("lib/base.py", "            manager.cleanup()\n", cleanup),
    ):
        indent = before[: -len(before.lstrip())]
        text = (package / name).read_text().replace("import manager", "import manager, reports")
        assert before in text
        (package / name).write_text(text.replace(before, before + indent + after))
    add_controller(newcomer, "both", BOTH.format(model=model))

    witness = server.connect(names[1])
    with witness.cursor() as cursor:
        cursor.execute("CREATE FUNCTION totals() RETURNS int LANGUAGE sql RETURN 42")
    with served(newcomer) as address:
        assert Visitor(address).get("/both/index") == f"{names[0]} {names[1]} 42"
        with witness.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM pg_stat_activity "
                "WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
                [names],
            )
            assert {state for (state,) in cursor} == {"idle"}
    witness.close()


# --- load ---

RELOAD = """
import importlib, pkgutil, threading, time
from paste.deploy import loadapp
from webtest import TestApp

app = loadapp("config:development.ini", relative_to=".")
import helloworld
from helloworld.model.meta import manager

names = [found.name for found in pkgutil.walk_packages(helloworld.__path__, "helloworld.")]
modules = [importlib.import_module(name) for name in names if ".tests" not in name]
stop, served, errors = threading.Event(), [], []

def visit():
    visitor = TestApp(app)
    while not stop.is_set():
        try:
            assert "A note" in visitor.get("/notes")
            served.append(1)
        except Exception as error:
            errors.append(error)

threads = [threading.Thread(target=visit) for _ in range(4)]
for thread in threads:
    thread.start()
rounds = 0
while rounds < 10 or len(served) < 50:
    rounds += 1
    for module in modules:
        importlib.reload(module)
stop.set()
for thread in threads:
    thread.join()
assert manager is helloworld.model.meta.manager
print(len(modules) > 15, errors, flush=True)
input()
"""

LOAD = '''"""Leaves uncommitted rows behind in every way there is, and ends in every way there is."""

import gc

from pylons.controllers.util import abort, redirect
from simpycity.core import Function, FunctionSingle, Raw
from simpycity.handle import Handle
from simpycity.model import SimpleModel

from {package}.lib.base import BaseController
from {package}.model import notes

# Nothing may need the garbage collector.
gc.disable()

transaction = FunctionSingle("pg_current_xact_id")


class Note(SimpleModel):
    table = ["title", "body"]
    write = Function("note_add", ["title", "body"])


class LoadController(BaseController):
    def function(self, id):
        first = transaction()[0]
        notes.add("uncommitted", "")
        mine = Raw("SELECT DISTINCT xmin::text FROM note WHERE title = 'uncommitted'")().fetchall()
        assert mine == [[first]], mine
        assert transaction()[0] == first
        return self.end(id, first)

    def raw(self, id):
        Raw("INSERT INTO note (title) VALUES ('uncommitted')")()
        return self.end(id)

    def model(self, id):
        Note(title="uncommitted", body="").write()
        return self.end(id)

    def handle(self, id):
        Handle().execute("INSERT INTO note (title) VALUES ('uncommitted')")
        return self.end(id)

    def end(self, how, text="fine"):
        if how == "raise":
            raise RuntimeError("as asked")
        if how == "abort":
            abort(409)
        if how == "redirect":
            redirect("/")
        return text
'''

ENDS = {"raise": 500, "fine": 200, "abort": 409, "redirect": 302}
# A third raises.
TURNS = ["raise", "fine", "abort", "raise", "fine", "redirect"]
THREADS, REQUESTS = 8, 288
POOL_SIZE, MAX_OVERFLOW = 3, 2


@pytest.fixture(scope="module")
def loaded(made, tmp_path_factory, server):
    """The address of a project in production with few connections, and its database's name."""
    project = shutil.copytree(made, tmp_path_factory.mktemp("load") / "HelloWorld")
    add_controller(project, "load", LOAD)
    paster("make-config", "HelloWorld", "production.ini", cwd=project)
    dsn = server.create_database()
    ini = project / "production.ini"
    limits = f"simpycity.pool_size = {POOL_SIZE}\nsimpycity.max_overflow = {MAX_OVERFLOW}"
    change(ini, "simpycity.dsn", f"{dsn}\n{limits}")
    change(ini, "port", f"0\nthreads = {THREADS}")
    set_up(project, "production.ini")
    with served(project, "production.ini") as address:
        yield address, parse_dsn(dsn)["dbname"]


class TestReload:
    def test_every_module_can_be_reloaded_while_requests_run(self, project, server, witness):
        dsn = server.create_database()
        few = f"{dsn}\nsimpycity.pool_size = 2\nsimpycity.max_overflow = 0"
        change(project / "development.ini", "simpycity.dsn", few)
        set_up(project)
        with psycopg2.connect(dsn) as link, link.cursor() as cursor:
            cursor.execute("INSERT INTO note (title) VALUES ('A note')")
        link.close()
        process = subprocess.Popen(
            [sys.executable, "-c", RELOAD],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        idle = (["idle"], ["idle"] * 2)
        try:
            assert process.stdout.readline() == "True []\n"
            database = parse_dsn(dsn)["dbname"]
            until(lambda: TestLoad.sessions(witness, database) in idle)
        finally:
            process.communicate("\n", timeout=PATIENCE)
        assert process.returncode == 0


class TestLoad:
    @pytest.mark.parametrize("kind", ["function", "raw", "model", "handle"])
    def test_no_request_leaves_anything_behind(self, loaded, server, witness, kind):
        address, database = loaded
        with ThreadPoolExecutor(THREADS) as threads:
            work = [
                threads.submit(self.request, address, kind, REQUESTS // THREADS)
                for _ in range(THREADS)
            ]
            texts = [text for future in work for text in future.result()]
        # PostgreSQL takes a moment to end the sessions of connections that were closed.
        until(lambda: len(self.sessions(witness, database)) <= POOL_SIZE)
        assert set(self.sessions(witness, database)) == {"idle"}
        with server.connect(database) as link, link.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM note")
            assert cursor.fetchone() == (0,)
        link.close()
        if kind == "function":
            # Each request has seen a transaction of its own.
            assert len(set(texts)) == len(texts)

    @staticmethod
    def request(address, kind, times):
        """Make requests on one connection, and return the texts of those that went well."""
        link = HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE)
        texts = []
        for number in range(times):
            end = TURNS[number % len(TURNS)]
            link.request("GET", f"/load/{kind}/{end}")
            answer = link.getresponse()
            text = answer.read().decode()
            assert answer.status == ENDS[end], text
            if end == "fine":
                texts.append(text)
        link.close()
        return texts

    @staticmethod
    def sessions(witness, database):
        """Return the states of a database's sessions."""
        with witness.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM pg_stat_activity WHERE datname = %s"
                " AND backend_type = 'client backend'",
                [database],
            )
            return [state for (state,) in cursor]
