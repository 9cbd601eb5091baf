"""Pyramid: requests, exception views, callbacks, streams and pyramid_tm, served by pserve."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from limits import at_each_moment
from pages import block, typed
from psycopg2.errors import UndefinedColumn
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from simpycity.core import Raw
from support import free_port
from webtest import TestApp

from simpycity_template import get_manager

# What the page's application does not do, and others do.
ROUGH = """
import transaction
from pyramid.events import NewRequest, NewResponse, subscriber
from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import exception_view_config
from notes import *
import notes

class Policy:
    def identity(self, request):
        return self.authenticated_userid(request)
    def authenticated_userid(self, request):
        return f"user {count().fetchone()[0]}"
    def permits(self, *args):
        return True

@subscriber(NewRequest)
def begin(event):
    add("never committed")
    event.request.add_finished_callback(lambda request: add("never committed"))

@subscriber(NewResponse)
def end(event):
    count()

@exception_view_config(ZeroDivisionError)
def sorry(error, request):
    add("never committed")
    return Response(f"{count().fetchone()[0]}", status=500)

@view_config(route_name="fails")
def fails(request):
    add("never committed")
    1 / 0

@view_config(route_name="unviewed")
def unviewed(request):
    add("never committed")
    raise KeyError

@view_config(route_name="missing")
def missing(request):
    add("never committed")
    raise HTTPNotFound()

@view_config(route_name="doomed")
def doomed(request):
    transaction.get().addAfterAbortHook(lambda: add("never committed"))
    transaction.doom()
    return Response("doomed")

@view_config(route_name="callback")
def callback(request):
    request.add_finished_callback(lambda request: 1 / 0)
    add("never committed")
    return Response("lost")

@view_config(route_name="endless")
def endless(request):
    def lines():
        while True:
            yield b"%d\\n" % count().fetchone()[0]
    return Response(app_iter=lines())

def main(global_config, **settings):
    with Configurator(settings=settings, package=notes) as config:
        if settings["tm"] == "before":
            config.include("pyramid_tm")
        config.include("simpycity_template.frameworks.pyramid")
        if settings["tm"] == "after":
            config.include("pyramid_tm")
        config.set_security_policy(Policy())
        for name in ("fails", "unviewed", "missing", "doomed", "callback", "endless", "numbers"):
            config.add_route(name, f"/{name}")
        config.add_route("notes", "/")
        config.scan("rough")
        config.scan("notes")
        return config.make_wsgi_app()
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("pyramid")
    return project


def serve(project, ini="development.ini"):
    """Serve the project by the command of the page."""
    (command,) = typed(block("docs/frameworks/pyramid.rst", "serve_pyramid"))
    path, program, file = command.split()
    assert (program, file) == ("pserve", "development.ini")
    project.environment["PYTHONPATH"] = path.removeprefix("PYTHONPATH=")
    port = free_port()
    project.write(ini, project.read(ini).replace("6543", str(port)))
    return project.serve_on(port, str(Path(sys.executable).with_name(program)), ini)


def rough(project, tm):
    text = (project.folder / "development.ini").read_text()
    text = text.replace("call:notes:main", f"call:rough:main\ntm = {tm}")
    project.write("rough.ini", text)
    project.write("rough.py", ROUGH)
    return serve(project, "rough.ini")


def test_the_page_serves(project, sessions):
    with serve(project) as site:
        assert site.get("/", b"milk") == (200, '{"notes": 1}')
        assert site.get("/") == (200, '{"notes": 1}')
        assert site.get("/numbers")[1].endswith("\n100\n")
        assert sessions.are_free()
    assert sessions.are_gone()


def test_tests_as_the_page_has_them_see_what_was_committed_and_leave_nothing(project, sessions):
    assert "2 passed" in project.run_tests(block("docs/frameworks/pyramid.rst", "test_pyramid"))


@pytest.mark.parametrize("tm", ["none", "before", "after"])
def test_no_request_leaves_a_session_behind(project, sessions, tm):
    expected = {"/": 200, "/fails": 500, "/unviewed": 500, "/missing": 404, "/callback": 500}
    expected |= {"/doomed": 200, "/numbers": 200}
    with rough(project, tm) as site:
        with ThreadPoolExecutor(8) as clients:
            statuses = [status for status, _ in clients.map(site.get, list(expected) * 10)]
        assert statuses == list(expected.values()) * 10, site.log.read_text()
        for _ in range(3):
            site.abandon("/endless")
        assert sessions.are_free(), site.log.read_text()
        assert sessions.are_kept(5)
        # Its own and the NewRequest subscriber's, but none of any request before.
        assert site.get("/fails") == (500, "3")
    assert sessions.are_gone()


@pytest.fixture
def manager(manager):
    """The one that ``application`` configures."""
    named = get_manager(__name__)
    yield named
    named.dispose()


@pytest.fixture
def application(manager, dsn):
    def make(view, request_factory=None, **settings):
        settings = {"simpycity.dsn": dsn, **settings}
        with Configurator(settings=settings, request_factory=request_factory) as config:
            config.include("simpycity_template.frameworks.pyramid")
            config.add_route("page", "/page")
            config.add_view(view, route_name="page")
            config.add_route("sub", "/sub/{tweens}")
            config.add_view(subrequest, route_name="sub")
            return TestApp(config.make_wsgi_app())

    return make


def backend(manager):
    return manager.handle().conn.backend_pid


def labels(manager):
    return [entry.label for entry in manager.status() if entry.state == "in use"]


def subrequest(request):
    mine = backend(request.simpycity)
    page = request.blank("/page")
    answer = request.invoke_subrequest(page, use_tweens=request.matchdict["tweens"] == "on").text
    assert backend(request.simpycity) == mine
    return Response("shared" if answer == str(mine) else "its own")


def test_the_scope_carries_the_requests_name(application, manager):
    def view(request):
        backend(request.simpycity)
        return Response(str(labels(manager)))

    assert application(view).get("/page").text == "['GET /page']"
    assert labels(manager) == []


def test_a_lost_write_is_told_of_unless_the_answer_is_an_error(application, note, caplog):
    def view(request):
        request.simpycity.handle().execute("INSERT INTO note (body) VALUES ('milk')")
        if request.params["answer"] == "raised":
            raise HTTPNotFound
        return Response(status=request.params["answer"])

    app = application(view, **{"simpycity.log_lost_writes": "true"})
    for answer in ("raised", "404", "500"):
        app.get(f"/page?answer={answer}", status="*")
    assert not any("changed" in said for said in caplog.messages)
    app.get("/page?answer=303")
    assert caplog.messages[-1].startswith("scope 'GET /page' changed 1 row of note")


def test_the_traceback_of_an_sql_error_ends_with_the_views_line(application):
    def view(request):
        request.simpycity.handle().execute("SELECT nothing")

    with pytest.raises(UndefinedColumn) as raised:
        application(view).get("/page")
    assert raised.traceback[-1].name == "view"


def test_a_subrequest_shares_the_scope_unless_it_passes_the_tweens(application, manager):
    app = application(lambda request: Response(str(backend(manager))))
    assert app.get("/sub/off").text == "shared"
    assert app.get("/sub/on").text == "its own"
    assert labels(manager) == []


def test_a_stream_keeps_its_length_and_its_connection(application, manager):
    def view(request):
        backend(manager)
        return Response(app_iter=iter([b"milk", b"eggs"]), content_length=8)

    app = application(view).app
    started = []
    environ = TestApp.RequestClass.blank("/page").environ
    body = app(environ, lambda status, headers: started.append(dict(headers)))
    assert started[0]["Content-Length"] == "8"
    assert labels(manager) == ["GET /page"]
    assert b"".join(body) == b"milkeggs"
    assert labels(manager) == []


def test_a_page_made_of_the_streams_of_two_subrequests_gets_both_whole(application, manager):
    def view(request):
        if "part" in request.params:
            backend(manager)
            return Response(app_iter=(b"%d" % n for n in range(3)))
        parts = [
            request.invoke_subrequest(request.blank("/page?part=1"), use_tweens=True).app_iter
            for _ in range(2)
        ]
        return Response(app_iter=(b"".join(pair) for pair in zip(*parts, strict=True)))

    assert application(view).get("/page").body == b"001122"
    assert labels(manager) == []


def test_a_request_whose_factory_added_a_failing_callback_ends(application, manager):
    class Audited(Request):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_finished_callback(self.audit)

        def audit(self, request):
            seen.append(labels(manager))
            raise ZeroDivisionError

    def view(request):
        backend(manager)
        return Response("lost")

    seen = []
    app = application(view, request_factory=Audited)
    with pytest.raises(ZeroDivisionError):
        app.get("/page")
    assert seen == [["GET /page"]]
    assert (manager.scopes.current(), labels(manager)) == (None, [])


def test_a_time_limit_while_a_request_ends_leaves_nothing_in_use(application, manager):
    app = application(lambda request: Response(str(backend(manager))))

    def work(block):
        with block():
            app.get("/page")

    # Before that Pyramid has not begun to end it.
    for _ in at_each_moment(work, "frameworks/pyramid.py", "scopes/request.py", since="_finish"):
        assert (manager.scopes.current(), labels(manager)) == (None, [])


def test_a_file_is_served_in_ranges(application):
    app = application(lambda request: FileResponse(__file__, request))
    part = app.get("/page", headers={"Range": "bytes=3-10"}, status=206)
    assert part.text == "Pyramid:"


def test_tweens_by_hand_without_ours_are_refused(application):
    tweens = "pyramid.tweens.excview_tween_factory"
    with pytest.raises(ConfigurationError, match="add simpycity_template.* as the first of them"):
        application(None, **{"pyramid.tweens": tweens})
    ours = "simpycity_template.frameworks.pyramid.scope_tween_factory"
    app = application(lambda request: Response("ok"), **{"pyramid.tweens": f"{ours} {tweens}"})
    assert app.get("/page").text == "ok"


def test_an_application_need_not_be_the_default(application, manager, make_manager):
    default = make_manager()
    application(lambda request: Response("ok"), **{"simpycity.default": "false"})
    with default.scope("names no manager"):
        Raw("SELECT 1")()
        assert (labels(default), labels(manager)) == (["names no manager"], [])


def test_missing_settings_are_told():
    with pytest.raises(ValueError, match="simpycity.dsn is not set"):
        Configurator(settings={}).include("simpycity_template.frameworks.pyramid")
