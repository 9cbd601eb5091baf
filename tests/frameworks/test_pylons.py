"""A project that Pylons' own template made: SQLAlchemy and the manager at once, on waitress."""

import re
from concurrent.futures import ThreadPoolExecutor
from textwrap import indent

import projects
import pytest

# What the page's controller does not do, and others do.
ROUGH = """
from pylons.controllers.util import abort
from helloworld.controllers.notes import *

class RoughController(NotesController):

    def _write(self):
        add("never committed")
        Session.execute(text("INSERT INTO note (body) VALUES ('never committed')"))

    def unfinished(self):
        self._write()
        return "done"

    def fails(self):
        self._write()
        1 / 0

    def aborts(self):
        self._write()
        abort(403)

    def stream(self):
        self._write()
        return (b"%d\\n" % count().fetchone()[0] for _ in range(3))

    def endless(self):
        return (b"%d\\n" % count().fetchone()[0] for _ in iter(int, 1))
"""


SERVE = """
from paste.deploy import loadapp
application = loadapp("config:development.ini", relative_to=".")
"""


@pytest.fixture
def project(make_project, note, database, tmp_path):
    create = ["create", "-q", "-t", "pylons", "HelloWorld", "sqlalchemy=True", "--no-interactive"]
    assert projects.paster(*create, cwd=tmp_path).returncode == 0
    project = make_project("pylons")
    page, project.folder = project.folder, project.folder / "HelloWorld"
    for change in (add_settings, add_manager, configure_manager):
        change(page, project, database)
    for name in ("helloworld/lib/base.py", "helloworld/controllers/notes.py"):
        project.write(name, (page / name).read_text())
    project.write("helloworld/controllers/rough.py", ROUGH)
    project.write("wsgi.py", SERVE)
    return project


def add_settings(page, project, database):
    name = "development.ini"
    url = f"sqlalchemy.url = postgresql+psycopg2:///{database}\n"
    changed = re.sub(
        "(?m)^sqlalchemy.url = .*\n", url + (page / name).read_text(), project.read(name)
    )
    project.write(name, changed)


def add_manager(page, project, database):
    name = "helloworld/model/meta.py"
    project.write(name, project.read(name) + (page / name).read_text())


def configure_manager(page, project, database):
    name = "helloworld/config/environment.py"
    line = indent((page / name).read_text().strip(), "    ")
    project.write(
        name, project.read(name).replace("    return config", f"{line}\n    return config")
    )


def test_no_request_leaves_a_session_of_either_behind(project, sessions):
    with project.serve("wsgi:application") as site:
        assert site.get("/notes/create/milk") == (200, "2 2")
        expected = {"unfinished": 200, "fails": 500, "aborts": 403, "stream": 200}
        paths = [f"/rough/{action}" for action in expected] * 10
        with ThreadPoolExecutor(8) as clients:
            statuses = [status for status, _ in clients.map(site.get, paths)]
        assert statuses == list(expected.values()) * 10, site.log.read_text()
        assert site.get("/rough/stream") == (200, "3\n3\n3\n")
        for _ in range(3):
            site.abandon("/rough/endless")
        assert sessions.are_free(), site.log.read_text()
        # Each pool keeps five.
        assert sessions.are_kept(10, least=2)
        assert site.get("/notes/index") == (200, "2 2")
    assert sessions.are_gone()
