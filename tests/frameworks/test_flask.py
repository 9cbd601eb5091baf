"""Flask: requests, errors, streams, the test client and CLI commands, on waitress."""

import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from flask import Flask, Response, abort
from pages import block, typed
from psycopg2.extensions import parse_dsn
from simpycity.core import Raw
from support import free_port
from werkzeug.test import EnvironBuilder

from simpycity_template import get_manager
from simpycity_template.frameworks.flask import Simpycity

# What the page's application does not do, and others do.
ROUGH = """
from notes import *
from flask import abort

@app.get("/fails")
def fails():
    add("never committed")
    1 / 0

@app.get("/aborts")
def aborts():
    add("never committed")
    abort(404)

@app.get("/unfinished")
def unfinished():
    add("never committed")
    return "done"

@app.get("/endless")
def endless():
    def lines():
        while True:
            yield f"{count().fetchone()[0]}\\n"

    return Response(stream_with_context(lines()))

@app.get("/bare")
def bare():
    rows = manager.handle().cursor(name="rows")
    rows.execute("SELECT generate_series(1, 1000000000)")
    return Response(f"{row[0]}\\n" for row in rows)

@app.cli.command("fail")
def fail():
    add("never committed")
    1 / 0
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("flask")
    project.write("rough.py", ROUGH)
    return project


def commands():
    """What the page types."""
    return [command.split() for command in typed(block("docs/frameworks/flask.rst", "serve_flask"))]


def test_the_page_serves(make_project, sessions):
    project, port = make_project("flask"), free_port()
    project.run("-m", *commands()[0])
    with project.serve_on(port, "-m", *commands()[1], "--port", str(port)) as site:
        assert site.get("/milk", b"") == (200, '{"notes":1}\n')
        assert site.get("/") == (200, '{"notes":1}\n')
        assert site.get("/numbers")[1].endswith("\n100\n")
        assert sessions.are_free()
    assert sessions.are_gone()


def test_no_request_leaves_a_session_behind(project, sessions):
    with project.serve("rough:app") as site:
        paths = ["/", "/fails", "/aborts", "/unfinished", "/numbers"] * 20
        with ThreadPoolExecutor(8) as clients:
            statuses = [status for status, _ in clients.map(site.get, paths)]
        assert statuses == [200, 500, 404, 200, 200] * 20
        assert site.get("/milk", b"") == (200, '{"notes":1}\n')
        assert sessions.are_free()
        assert sessions.are_kept(5)
    assert sessions.are_gone()


@pytest.mark.parametrize("path", ["/endless", "/bare"])
def test_a_client_that_goes_away_leaves_no_session_behind(project, sessions, path):
    with project.serve("rough:app") as site:
        for _ in range(3):
            site.abandon(path)
        assert sessions.are_free(), site.log.read_text()


def test_tests_as_the_page_has_them_see_what_was_committed_and_leave_nothing(project, sessions):
    assert "2 passed" in project.run_tests(block("docs/frameworks/flask.rst", "test_flask"))


def test_a_command_that_fails_leaves_nothing(project, sessions):
    assert "ZeroDivisionError" in project.run("-m", "flask", "--app", "rough", "fail", check=False)
    assert sessions.are_gone()
    with project.serve("notes:app") as site:
        assert site.get("/") == (200, '{"notes":0}\n')


@pytest.fixture
def app(dsn):
    app = Flask("flask test")
    app.config["SIMPYCITY"] = {"dsn": dsn}
    simpycity = Simpycity()
    simpycity.init_app(app)
    yield app
    app.extensions["simpycity"].dispose()


@pytest.fixture
def manager(app):
    return get_manager("flask test")


def backend(manager):
    return manager.handle().conn.backend_pid


def labels(manager):
    return [entry.label for entry in manager.status() if entry.state == "in use"]


def test_a_lost_write_is_told_of_unless_the_answer_is_an_error(app, manager, note, caplog):
    manager.configure({"simpycity.dsn": manager.dsn(), "simpycity.log_lost_writes": "true"})

    @app.get("/<int:status>")
    def view(status):
        manager.handle().execute("INSERT INTO note (body) VALUES ('milk')")
        if status == 404:
            abort(404)
        return "page", status

    app.errorhandler(404)(lambda error: ("no such page", 404))
    for status in (404, 500):
        assert app.test_client().get(f"/{status}").status_code == status
    assert not any("changed" in said for said in caplog.messages)
    app.test_client().get("/200")
    assert caplog.messages[-1].startswith("scope 'GET /200' changed 1 row of note")


def test_the_logged_traceback_of_an_sql_error_ends_with_the_views_line(app, manager, caplog):
    @app.get("/")
    def view():
        manager.handle().execute("SELECT nothing")

    assert app.test_client().get("/").status_code == 500
    (error,) = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert traceback.extract_tb(error.__traceback__)[-1].name == "view"


def test_an_app_context_is_a_scope(app, manager):
    with app.app_context():
        backend(manager)
        assert labels(manager) == ["app context of flask test"]
    assert labels(manager) == []


def test_a_teardown_that_fails_leaves_no_scope_behind(app, manager):
    @app.teardown_appcontext
    def fails(error):
        raise ZeroDivisionError

    def job():
        with app.app_context():
            backend(manager)
            raise AssertionError("the job itself")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            job()
        assert (manager.scopes.current(), labels(manager)) == (None, [])


def test_a_teardown_that_was_registered_before_us_queries_in_the_scope(dsn):
    app = Flask("flask teardown")
    app.config["SIMPYCITY"] = {"dsn": dsn}
    manager = get_manager(app.name)
    backends = []

    @app.teardown_appcontext
    def audit(error):
        backends.append(backend(manager))

    Simpycity(app)
    with app.app_context():
        backends.append(backend(manager))
    assert backends[0] == backends[1]
    assert (manager.scopes.current(), labels(manager)) == (None, [])
    manager.dispose()


def test_a_command_names_its_scope(app, manager):
    @app.cli.command("look")
    def look():
        backend(manager)
        print(labels(manager))

    assert app.test_cli_runner().invoke(args=["look"]).output.endswith(" look']\n")
    assert labels(manager) == []


def test_an_app_context_inside_a_request_shares_its_transaction(app, manager):
    @app.get("/")
    def view():
        outside = backend(manager)
        with app.app_context():
            assert backend(manager) == outside
        assert labels(manager) == ["GET /"]
        return "done"

    assert app.test_client().get("/").text == "done"
    assert labels(manager) == []


def test_a_request_inside_an_app_context_has_its_own_transaction(app, manager):
    app.add_url_rule("/", view_func=lambda: str(backend(manager)))
    with app.app_context():
        mine = backend(manager)
        assert app.test_client().get("/").text != str(mine)
        assert labels(manager) == ["app context of flask test"]


def test_a_preserved_context_ends_with_the_clients_block(app, manager):
    app.add_url_rule("/", view_func=lambda: str(backend(manager)))
    with app.test_client() as client:
        client.get("/")
        backend(manager)
    assert labels(manager) == []


def test_a_streamed_response_is_freed_when_it_is_closed(app, manager):
    app.add_url_rule("/", view_func=lambda: Response(str(backend(manager)) for _ in range(9)))
    response = app.test_client().get("/")
    next(response.iter_encoded())
    assert labels(manager) == ["GET /"]
    response.close()
    assert labels(manager) == []


def test_a_page_keeps_no_connection_until_its_client_has_read_it(app, manager):
    closed = []

    @app.get("/page")
    def page():
        backend(manager)
        response = Response("computed")
        response.call_on_close(lambda: closed.append(backend(manager)))
        return response

    @app.get("/stream")
    def stream():
        backend(manager)
        return Response(iter(["computed"]))

    @app.teardown_request
    def teardown(error):
        assert labels(manager) in (["GET /page"], ["GET /stream"])

    for path, held in {"/page": [], "/stream": ["GET /stream"]}.items():
        body = app.wsgi_app(EnvironBuilder(path).get_environ(), lambda *response: None)
        assert labels(manager) == held
        assert b"".join(body) == b"computed"
        body.close()
        assert (manager.scopes.current(), labels(manager)) == (None, [])
    assert closed


def test_an_asynchronous_view_reaches_its_scope_by_sync_to_async(app, manager):
    def label():
        backend(manager)
        return labels(manager)

    @app.get("/")
    async def view():
        directly = label()
        manager.cleanup()
        return {"directly": directly, "in the request's thread": await sync_to_async(label)()}

    answer = app.test_client().get("/").json
    assert answer["in the request's thread"] == ["GET /"]
    assert answer["directly"] != ["GET /"]
    assert labels(manager) == []


def test_what_the_test_client_streams_is_whole_or_an_error(app, manager):
    @app.get("/export")
    def export():
        return Response(str(backend(manager)) for _ in range(9))

    @app.get("/other")
    def other():
        return "other"

    client = app.test_client()
    whole = client.get("/export")
    assert len(list(whole.iter_encoded())) == 9
    cut = client.get("/export")
    assert client.get("/other").text == "other"
    assert labels(manager) == []
    with pytest.raises(RuntimeError, match="body of 'GET /export' was cut"):
        cut.get_data()


def shop_and_admin(server, **shop):
    """Two applications that say where their queries run, and their managers' databases."""
    apps, databases = [], {}
    for name, settings in {"shop": shop, "admin": {}}.items():
        app = Flask(f"flask {name}")
        dsn = server.create_database()
        app.config["SIMPYCITY"] = {"dsn": dsn, **settings}
        Simpycity(app)
        apps.append(app)
        databases[name] = parse_dsn(dsn)["dbname"]
    return *apps, databases


def test_an_application_that_is_not_the_default_names_its_manager(server, caplog):
    shop, admin, databases = shop_and_admin(server, default=False)
    manager = shop.extensions["simpycity"]
    where = Raw("SELECT current_database()")
    there = Raw("SELECT current_database()", handle=manager.handle())
    shop.add_url_rule("/", view_func=lambda: there().fetchone()[0])
    admin.add_url_rule("/", view_func=lambda: where().fetchone()[0])
    for app, name in ((shop, "shop"), (admin, "admin")):
        assert app.test_client().get("/").text == databases[name]
        assert labels(app.extensions["simpycity"]) == []
    assert "flask shop" not in caplog.text
    for app in (shop, admin):
        app.extensions["simpycity"].dispose()


def test_an_application_that_takes_the_default_from_another_is_told(server, caplog):
    shop_and_admin(server)
    assert "now use 'flask admin' and no longer 'flask shop'" in caplog.text
    assert "set SIMPYCITY.default = false for one of the two" in caplog.text


def test_missing_settings_are_told_where_they_belong():
    with pytest.raises(ValueError, match="SIMPYCITY is not set: it must be a dictionary"):
        Simpycity(Flask("bare"))


def test_a_misspelt_setting_is_told():
    app = Flask("bare")
    app.config["SIMPYCITY"] = {"dns": ""}
    with pytest.raises(ValueError, match="SIMPYCITY.dns is not .* did you mean SIMPYCITY.dsn"):
        Simpycity(app)
