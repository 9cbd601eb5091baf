"""An application made by Pylons' own template, on Python 3: serving, errors and commands."""

import os
import re
import sys
from hashlib import sha256
from pathlib import Path
from threading import Thread

import pkg_resources
import projects
import pytest
from browsing import as_soon_as_possible
from mails import smtp_server
from paste.deploy import loadapp
from paste.urlmap import URLMap
from support import until
from waitress import create_server
from webtest import TestApp

pytestmark = [pytest.mark.process, pytest.mark.slow]


CONTROLLER = """
from hashlib import sha256

import pylons
from beaker.cache import cache_region
from pylons import app_globals, cache, config, request, response, session, tmpl_context as c, url
from pylons.controllers.util import abort, etag_cache, forward, redirect
from pylons.decorators import jsonify
from pylons.decorators.cache import beaker_cache
from pylons.templating import render_genshi, render_jinja2, render_mako

from small.lib.base import BaseController

closed = []
runs = []

class Body:
    def __init__(self, *pieces):
        self.pieces = iter(pieces)
    def __iter__(self):
        return self
    def __next__(self):
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece
    def close(self):
        closed.append("body")

class ThingsController(BaseController):
    def text(self): return "naïve"
    def raw(self): return b"\\xff"
    def pieces(self): return ["na", "ïve", b"!"]
    def generated(self):
        yield "na"
        yield "ïve"
    def latin(self):
        response.charset = "latin-1"
        return ["na", "ïve"]
    def answered_itself(self, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return "naïve"
    def answered_itself_with_bytes(self, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return b"\\xff"
    def number(self): return 1
    def numbers(self): return ["a", 1]
    def number_first(self): return Body(1)
    def streamed(self): return Body("a", "b")
    def file(self): return open(config["pylons.paths"]["static_files"] + "/bg.png", "rb")
    def text_file(self): return open(__file__, encoding="utf-8")
    def streamed_and_missing(self):
        response.status = "404 Not Found"
        return Body("a", "b")
    def broken_at_once(self): return Body(ValueError("at once"))
    def broken_later(self): return Body("a", ValueError("later"))
    def broken(self):
        secret = 41
        raise ValueError("boom")
    def arguments(self, id, start_response, environ): return f"{id} {environ['PATH_INFO']}"
    def here(self): return url.current(action="text")
    @jsonify
    def upload(self):
        file = request.POST["file"]
        digest = sha256(file.file.read()).hexdigest()
        return {"name": file.filename, "digest": digest, "note": request.POST["note"]}
    def missing(self): abort(404, "not here")
    def elsewhere(self): redirect(url(controller="things", action="text", q="ä"))
    def unicode_elsewhere(self): redirect("/ä")
    def count(self):
        session["count"] = session.get("count", 0) + 1
        session.save()
        return str(session["count"])
    def sign(self):
        response.signed_cookie("signed", {"a": [1, "ä"]}, secret="s3cret")
        return ""
    def signed(self): return repr(request.signed_cookie("signed", "s3cret"))
    def tagged(self):
        etag_cache("v1")
        return "body"
    @beaker_cache(key="id", type="memory")
    def cached(self, id):
        runs.append(id)
        return f"{id} {runs.count(id)}"
    @jsonify
    def json(self): return {"a": "ä"}
    def mako(self):
        c.name = "<b>ä</b>"
        return render_mako("/page.mako")
    def mako_cached(self):
        c.name = str(len(runs))
        return render_mako("/page.mako", cache_key="k", cache_type="memory", cache_expire="never")
    def mako_broken(self): return render_mako("/broken.mako")
    def jinja2(self):
        c.name = "ä"
        return render_jinja2("/page.jinja2")
    def genshi(self):
        c.name = "<b>ä</b>"
        return render_genshi("page.html")
    def languages(self): return " ".join(request.languages)
    def forwarded(self):
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"from another application"]
        return forward(application)
"""

TEMPLATES = {
    "page.mako": "Hello ${c.name} ${_('text')} ${h.__name__}",
    "broken.mako": "first line\n${undefined_name.x}\n",
    "page.jinja2": "Hello {{ c.name }} {{ _('text') }}",
    "page.html": '<p xmlns:py="http://genshi.edgewall.org/">Hello $c.name</p>',
}

MODEL = """

from sqlalchemy import Column, Integer, UnicodeText

class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    text = Column(UnicodeText())
"""

LOADERS = """
    from genshi.template import TemplateLoader
    from jinja2 import Environment, FileSystemLoader
    config['pylons.app_globals'].genshi_loader = TemplateLoader(paths['templates'])
    config['pylons.app_globals'].jinja2_env = Environment(
        loader=FileSystemLoader(paths['templates']))
    return config
"""


def paster(*arguments: str, cwd: Path, stdin: str = "") -> str:
    """Run a paster command, and return what it printed."""
    done = projects.paster(*arguments, cwd=cwd, input=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The folder of a project that `paster create -t pylons` made."""
    folder = tmp_path_factory.mktemp("pylons")
    paster("create", "-t", "pylons", "Small", "--no-interactive", cwd=folder)
    package = folder / "Small" / "small"
    (package / "controllers" / "things.py").write_text(CONTROLLER, encoding="utf-8")
    for name, text in TEMPLATES.items():
        (package / "templates" / name).write_text(text, encoding="utf-8")
    environment = package / "config" / "environment.py"
    text = environment.read_text()
    environment.write_text(re.sub(r"\n    return config\n", LOADERS, text))
    sys.path.insert(0, str(folder / "Small"))
    pkg_resources.working_set.add_entry(str(folder / "Small"))
    return folder / "Small"


@pytest.fixture(scope="session")
def debugged(project) -> TestApp:
    """The application as development.ini sets it up."""
    return _test_app(loadapp("config:development.ini", relative_to=str(project)))


@pytest.fixture(scope="session")
def production(project) -> TestApp:
    """The application with `debug = false`."""
    return configured(project, "production", "error_log = %(here)s/errors.log")


def configured(project: Path, name: str, *settings: str) -> TestApp:
    """Load the application with `debug = false` and some settings."""
    text = (project / "development.ini").read_text()
    text = text.replace("#set debug = false", "set debug = false")
    text = re.sub("(email_to|smtp_server) = .*", "", text)
    text = text.replace("[DEFAULT]", "\n".join(["[DEFAULT]", *settings]), 1)
    (project / f"{name}.ini").write_text(text)
    return _test_app(loadapp(f"config:{name}.ini", relative_to=str(project)))


@pytest.fixture
def app(debugged):
    debugged.reset()
    return debugged


def _test_app(application) -> TestApp:
    def as_behind_a_server(environ, start_response):
        # WebTest asks for errors to be thrown; here they are for the error handlers.
        del environ["paste.throw_errors"]
        environ["REMOTE_ADDR"] = "127.0.0.1"
        return application(environ, start_response)

    return TestApp(as_behind_a_server)


@pytest.fixture
def closed(debugged):
    """The bodies that were closed since the test began."""
    from small.controllers import things

    things.closed.clear()
    return things.closed


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("text", "naïve".encode()),
        ("raw", b"\xff"),
        ("pieces", "naïve!".encode()),
        ("generated", "naïve".encode()),
        ("latin", b"na\xefve"),
        ("streamed", b"ab"),
        ("answered_itself", "naïve".encode()),
        ("answered_itself_with_bytes", b"\xff"),
        ("forwarded", b"from another application"),
    ],
)
def test_an_action_may_return_text_bytes_or_pieces_of_either(app, action, body):
    assert app.get(f"/things/{action}").body == body


@pytest.mark.parametrize(
    ("action", "returned"),
    [
        ("number", "int"),
        ("numbers", "an iterable of int"),
        ("number_first", "an iterable of int"),
    ],
)
def test_an_action_that_returns_something_else_is_named(app, action, returned):
    said = f"small.controllers.things.ThingsController.{action} returned {returned}: "
    assert f"TypeError: {said}" in broken(app, f"/things/{action}")


def test_an_action_may_return_an_open_file(app, project):
    assert app.get("/things/file").body == (project / "small/public/bg.png").read_bytes()
    assert app.get("/things/text_file").text == CONTROLLER


@pytest.mark.filterwarnings("error:You :DeprecationWarning")
def test_an_action_gets_the_arguments_that_it_names(app):
    assert app.get("/things/arguments/7").text == "7 /things/arguments/7"


def test_the_parts_of_a_path_are_decoded(app):
    assert app.get("/things/arguments/%C3%A4%20b").text == "ä b /things/arguments/Ã¤ b"
    assert app.get("/things/here/%C3%A4").text == "/things/text/%C3%A4"


def test_a_large_upload_arrives_whole(app):
    sent = os.urandom(1 << 20)
    page = app.post("/things/upload", {"note": "ü"}, upload_files=[("file", "ß.bin", sent)])
    assert page.json == {"name": "ß.bin", "digest": sha256(sent).hexdigest(), "note": "ü"}


def test_a_session_lasts(app):
    assert [app.get("/things/count").text for _ in range(3)] == ["1", "2", "3"]


def test_a_signed_cookie_comes_back_and_a_forged_one_does_not(app):
    app.get("/things/sign")
    assert app.get("/things/signed").text == "{'a': [1, 'ä']}"
    app.set_cookie("signed", "0" * 40 + app.cookies["signed"].strip('"')[40:])
    assert app.get("/things/signed").text == "None"


def test_a_redirect_leads_to_an_absolute_address_in_ascii(app):
    assert app.get("/things/elsewhere").location == "http://localhost/things/text?q=%C3%A4"


def test_a_redirect_to_a_path_that_is_not_ascii_sends_the_bytes_of_utf_8(app):
    location = app.get("/things/unicode_elsewhere").headers["Location"]
    assert location.encode("latin-1").decode("utf-8") == "http://localhost/ä"


def test_a_cached_action_runs_once_for_each_key(app):
    pages = [app.get(f"/things/cached/{number}").text for number in (1, 1, 2, 1)]
    assert pages == ["1 1", "1 1", "2 1", "1 1"]


def test_an_entity_tag_answers_not_modified(app):
    assert app.get("/things/tagged", headers={"If-None-Match": '"v1"'}).status_int == 304
    assert app.get("/things/tagged", headers={"If-None-Match": '"v2"'}).text == "body"


def test_an_action_returns_json(app):
    assert app.get("/things/json").json == {"a": "ä"}


def test_languages_end_with_the_one_of_the_application(app):
    header = {"Accept-Language": "fr;q=0.6, en;q=0.1, ja;q=0.3"}
    assert app.get("/things/languages", headers=header).text == "fr ja en-us"
    assert app.get("/things/languages").text == "en-us"


@pytest.mark.parametrize(
    ("engine", "body"),
    [
        ("mako", "Hello &lt;b&gt;ä&lt;/b&gt; text small.lib.helpers"),
        ("jinja2", "Hello ä text"),
        ("genshi", "<p>Hello &lt;b&gt;ä&lt;/b&gt;</p>"),
    ],
)
def test_templates_are_rendered(app, engine, body):
    assert app.get(f"/things/{engine}").text.strip() == body


def test_a_rendered_template_is_cached(app):
    first = app.get("/things/mako_cached").text
    app.get("/things/cached/another")
    assert app.get("/things/mako_cached").text == first


def test_a_missing_page_is_answered_by_the_error_document(app):
    page = app.get("/things/missing", status=404)
    assert "Server Error 404" in page and "not here" in page
    # The page is text, and not the repr of bytes.
    assert "404 Not Found\n\n" in page.text
    assert app.get("/error/style/black.css").content_type == "text/css"


def test_a_streamed_body_is_closed(app, closed):
    app.get("/things/streamed")
    assert closed == ["body"]


def test_a_body_that_an_error_document_replaces_is_closed(app, closed):
    assert "Server Error 404" in app.get("/things/streamed_and_missing", status=404)
    assert closed == ["body"]


def test_an_error_before_the_first_piece_of_a_body_is_answered(app, closed):
    assert "ValueError: at once" in broken(app, "/things/broken_at_once")
    assert closed == ["body"]


def test_an_error_after_the_first_piece_of_a_body_reaches_the_server(app, closed):
    with pytest.raises(ValueError, match="later"):
        app.get("/things/broken_later")
    assert closed == ["body"]


def broken(app: TestApp, path: str, query: dict[str, str] | None = None):
    """Request what fails, and return the page that answers."""
    page = app.get(path, query, expect_errors=True)
    assert page.status_int == 500
    return page


def ask(page, command: str) -> dict[str, str]:
    """Return the query by which the debugger's page asks for a command in its last frame."""
    return {
        "__debugger__": "yes",
        "frm": re.findall(r'id="frame-(\d+)"', page.text)[-1],
        "s": re.search(r'SECRET = "(\w+)"', page.text)[1],
        "cmd": command,
    }


def test_the_debugger_evaluates_in_the_frame_of_the_application(app):
    page = broken(app, "/things/broken")
    assert "things.py" in page
    assert "42" in app.get("/things/broken", ask(page, "secret + 1"))
    assert "secret = 41" in app.get("/things/broken", ask(page, "source"))
    style = {"__debugger__": "yes", "cmd": "resource", "f": "style.css"}
    assert app.get("/things/broken", style).content_type == "text/css"


def test_the_debugger_works_in_a_browser_under_a_prefix(project, browser):
    def open_console():
        # Its button is visible only while the pointer is on the line.
        button = line.find_element("css selector", "img[title*=shell]")
        browser.execute_script("arguments[0].click()", button)

    def type_into_console():
        line.find_element("css selector", "form input").send_keys("request.path, secret\n")

    pylons = loadapp("config:development.ini", relative_to=str(project))
    urls = URLMap()
    urls["/mounted"] = pylons
    server = create_server(urls, host="127.0.0.1", port=0)
    Thread(target=server.run, daemon=True).start()
    try:
        browser.get(f"http://127.0.0.1:{server.effective_port}/mounted/things/broken")
        assert browser.title.startswith("ValueError: boom")
        line = browser.find_elements("css selector", ".frame")[-1]
        assert 'raise ValueError("boom")' in line.text
        as_soon_as_possible(browser, open_console)
        as_soon_as_possible(browser, type_into_console)
        until(lambda: "'/mounted/things/broken', 41" in line.text)
    finally:
        server.close()


def test_the_debugger_shows_the_globals_of_the_failed_request(app):
    page = broken(app, "/things/broken", {"q": "1"})
    broken(app, "/things/broken", {"q": "2"})
    assert "q=1" in app.get("/things/broken", ask(page, "request.query_string"))


def test_the_debugger_evaluates_nothing_without_its_secret(app):
    page = broken(app, "/things/broken")
    guess = {**ask(page, "1 + 41"), "s": "guess"}
    assert "boom" in broken(app, "/things/broken", guess)
    assert app.get("/__console__", status=404)


def test_an_error_in_a_template_shows_the_line_of_the_template(app):
    page = broken(app, "/things/mako_broken")
    assert "${undefined_name.x}" in page.html.get_text()
    # The page is text, and not the repr of bytes.
    assert "b'\\n" not in page


def test_production_shows_no_traceback_and_logs_it(production, project):
    page = broken(production, "/things/broken")
    assert "Server Error 500" in page
    assert "boom" not in page and "Traceback" not in page and "SECRET" not in page
    assert "ValueError: boom" in page.errors
    logged = (project / "errors.log").read_text()
    assert "ERROR [MainThread] GET http://localhost/things/broken\n  Traceback" in logged
    assert "ValueError: boom" in logged


def test_production_mails_the_traceback(project):
    with smtp_server() as server:
        application = configured(
            project,
            "mailed",
            "email_to = you@example.com, other@example.com",
            f"smtp_server = 127.0.0.1:{server.port}",
            "error_subject_prefix = Small failed:",
        )
        assert "boom" not in broken(application, "/things/broken")
    (mail,) = server.handler.box
    assert mail["X-RcptTo"] == "you@example.com, other@example.com"
    assert mail["From"] == "paste@localhost"
    assert mail["Subject"].startswith("Small failed:ValueError: boom")
    assert 'raise ValueError("boom")' in mail.get_payload(0).get_payload(decode=True).decode()


def test_an_error_that_cannot_be_mailed_is_answered_all_the_same(project):
    application = configured(
        project, "unmailed", "email_to = you@example.com", "smtp_server = 127.0.0.1:1"
    )
    page = broken(application, "/things/broken")
    assert "Server Error 500" in page
    assert "could not be reported: [Errno" in page.errors


def test_production_evaluates_nothing(production):
    style = {"__debugger__": "yes", "cmd": "resource", "f": "style.css"}
    assert production.get("/things/text", style).text == "naïve"


def test_templates_are_listed_without_a_warning(tmp_path):
    listed = paster("create", "--list-templates", cwd=tmp_path)
    assert "Pylons application template" in listed
    assert "Warning" not in listed


def test_controllers_are_made_and_their_tests_pass(project):
    paster("controller", "notes", cwd=project)
    paster("controller", "admin/users", cwd=project)
    assert "map.resource" in paster("restcontroller", "comment", "comments", cwd=project)
    written = (project / "small" / "controllers" / "notes.py").read_text(encoding="utf-8")
    assert "from small.lib.base import BaseController, render" in written
    assert "return render('/notes.mako')" in written
    assert (project / "small" / "controllers" / "admin" / "__init__.py").exists()
    (project / "small" / "controllers" / "notes.py").unlink()
    # Its test is still there, and is what it would write.
    paster("controller", "notes", cwd=project)
    tests = [f"small/tests/functional/test_{name}.py" for name in ("notes", "admin_users")]
    done = projects.python("-m", "pytest", "-q", *tests, cwd=project)
    assert done.returncode == 0, done.stdout


def test_routes_are_printed(project):
    assert "/{controller}/{action}/{id}" in paster("routes", cwd=project)


def test_the_shell_has_the_application_at_hand(project):
    lines = "print(app.get('/things/text').body, config['pylons.package'], mapper)\n"
    assert "b'na\\xc3\\xafve' small" in paster("shell", cwd=project, stdin=lines)


def test_an_error_typed_into_the_shell_is_shown_alone(project):
    said = paster("shell", cwd=project, stdin="1/0\n")
    assert "ZeroDivisionError: division by zero" in said
    assert "IPython" not in said
    assert "During handling" not in said


def test_a_configuration_is_made_and_set_up(project):
    paster("make-config", "Small", "live.ini", cwd=project)
    assert "set debug = false" in (project / "live.ini").read_text(encoding="utf-8")
    assert "Running setup_app()" in paster("setup-app", "live.ini", cwd=project)
    asked = paster("make-config", "Small", "live.ini", cwd=project, stdin="n\n")
    assert "Overwrite file with new content?" in asked


def test_a_minimal_project_works_and_its_tests_find_the_application(tmp_path):
    paster("create", "-t", "pylons_minimal", "Tiny", "--no-interactive", cwd=tmp_path)
    paster("controller", "greetings", cwd=tmp_path / "Tiny")
    assert "BaseController, render" in (tmp_path / "Tiny/tiny/controllers/greetings.py").read_text()
    # It has no websetup module.
    paster("setup-app", "development.ini", cwd=tmp_path / "Tiny")
    plugin = ["-p", "simpycity_template.pylons_py3.pytest_plugin", "--with-pylons=test.ini"]
    done = projects.python("-m", "pytest", "-q", *plugin, cwd=tmp_path / "Tiny")
    assert done.returncode == 0, done.stdout


def test_a_project_with_sqlalchemy_creates_its_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error:The ``declarative_base")
    paster("create", "-t", "pylons", "Stored", "sqlalchemy=True", "--no-interactive", cwd=tmp_path)
    project = tmp_path / "Stored"
    with open(project / "stored" / "model" / "__init__.py", "a") as file:
        file.write(MODEL)
    paster("setup-app", "development.ini", cwd=project)
    lines = (
        "model.Session.add(model.Note(text='ä')); model.Session.commit()\n"
        "print(model.Session.query(model.Note).one().text)\n"
    )
    assert "ä" in paster("shell", cwd=project, stdin=lines)


@pytest.mark.parametrize(("engine", "page"), [("genshi", "html"), ("jinja2", "jinja2")])
def test_a_project_uses_the_template_engine_that_was_asked_for(tmp_path, engine, page):
    options = ["-t", "pylons", "Other", f"template_engine={engine}", "--no-interactive"]
    paster("create", *options, cwd=tmp_path)
    package = tmp_path / "Other" / "other"
    assert f"render_{engine} as render" in (package / "lib" / "base.py").read_text()
    paster("controller", "notes", cwd=tmp_path / "Other")
    assert f"return render('/notes.{page}')" in (package / "controllers/notes.py").read_text()
    paster("routes", cwd=tmp_path / "Other")
