"""Django: signals, streams, management commands and background threads, on waitress."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.handlers.wsgi import WSGIHandler
from limits import at_each_moment
from pages import blocks, typed
from support import backend, in_use
from waiting import eventually

from simpycity_template.frameworks import django
from simpycity_template.frameworks.django.apps import Simpycity

ROUGH_SETTINGS = """
from notes.settings import *
ROOT_URLCONF = "notes.rough_urls"
SIMPYCITY["log_lost_writes"] = True
MIDDLEWARE = ["notes.rough_urls.middleware"]
"""

# What the page's application does not do, and others do.
ROUGH_URLS = """
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started
from django.http import Http404, HttpResponse
from django.test import Client
from notes.urls import *
from notes.model import *
import threading

def middleware(get_response):
    def answer(request):
        count()
        response = get_response(request)
        add("never committed")
        return response
    return answer

def fails(request):
    add("never committed")
    1 / 0

def wrong(request):
    manager.handle().execute("SELECT nothing")

def missing(request):
    add("never committed")
    raise Http404

def endless(request):
    def lines():
        while True:
            yield f"{count().fetchone()[0]}\\n"
    return StreamingHttpResponse(lines())

def background(request):
    forgetful = threading.Thread(target=add, args=["never committed"], name="forgetful")
    forgetful.start()
    forgetful.join()
    return HttpResponse("done")

# What sends the signals of a request, and is not the request.
def job():
    request_started.send(sender="a job")
    count()
    request_finished.send(sender="a job")

def client(page="/"):
    assert Client(SERVER_NAME="127.0.0.1").get(page).status_code == 200

def interrupted_by(other, name):
    def view(request):
        add("milk")
        other()
        manager.commit()
        return HttpResponse(str(count().fetchone()[0]))
    return path(name, view)

def labels():
    count()
    return str([entry.label for entry in manager.status() if entry.state == "in use"])

async def asynchronous(request):
    return HttpResponse(await sync_to_async(labels)())

urlpatterns += [path("asynchronous", asynchronous)]
urlpatterns += [path(view.__name__, view) for view in (fails, wrong, missing, endless, background)]
urlpatterns += [
    interrupted_by(job, "job"),
    interrupted_by(lambda: HttpResponse("another").close(), "response"),
    interrupted_by(client, "client"),
    interrupted_by(lambda: client("/client"), "clients"),
]
"""

# One that begins scopes of its own, as a scheduler's thread does, and one that forgets.
JOBS = """
import threading, time
from django.core.management.base import BaseCommand
from notes.model import add, count, manager

class Command(BaseCommand):
    def handle(self, **options):
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        self.stdout.write("ready")
        self.stdout.flush()
        time.sleep(1000)

    def work(self):
        while True:
            with manager.scope("job"):
                add("never committed")
            time.sleep(0.01)
"""

TESTS = """
import asyncio, django, gc, sys
django.setup()
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.core.management import call_command
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import setup_test_environment
from notes.model import count, manager
setup_test_environment()

def labels():
    return [entry.label for entry in manager.status() if entry.state == "in use"]

with manager.scope("test"):
    before = count().fetchone()[0]
    manager.rollback()
    assert Client().post("/", {"body": "milk"}).json() == {"notes": before + 1}
    assert count().fetchone()[0] == before + 1
    assert labels() == ["test"]

    response = Client().get("/numbers")
    pieces = iter(response.streaming_content)
    next(pieces)
    assert labels() == ["test", "GET /numbers"]
    list(pieces)
    assert labels() == ["test"]

    call_command("count_notes", times=3)
    assert labels() == ["test"]

def begun():
    # What a server gets, and begins to send.
    environ = RequestFactory().get("/numbers").environ
    response = get_wsgi_application()(environ, lambda *args: None)
    next(iter(response))
    assert labels() == ["GET /numbers"]
    return response

# It is never closed.
dropped = begun()
del dropped
if sys.version_info < (3, 11):
    # There contextlib leaves a cycle, in which asgiref's error keeps the frames that had the response.
    gc.collect()
assert labels() == []

request_started.send(sender="a job")
assert manager.scopes.current() is None

# A generator that is in a block of its own, and is kept.
environ = RequestFactory().get("/").environ
request_started.send(sender="a server", environ=environ)
block = manager.scope("never left")
block.__enter__()
count()
request_finished.send(sender="a server")
assert (manager.scopes.current(), labels()) == (None, [])

async def asynchronous(path):
    headers = [(b"host", b"127.0.0.1")]
    request = {"type": "http", "method": "GET", "path": path, "headers": headers}
    server = ApplicationCommunicator(get_asgi_application(), request)
    await server.send_input({"type": "http.request"})
    assert (await server.receive_output())["status"] == 200
    assert labels() == [f"GET {path}"]
    await server.receive_output()
    await server.wait()
    assert labels() == []

for path in ("/", "/numbers"):
    asyncio.run(asynchronous(path))

# Its response is closed in another thread than it was made in.
async def asynchronous_tests():
    for _ in range(20):
        assert (await AsyncClient().get("/")).json() == {"notes": before + 1}
    assert len(labels()) == 1, labels()

asyncio.run(asynchronous_tests())
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("django")
    project.environment["DJANGO_SETTINGS_MODULE"] = "notes.settings"
    return project


@pytest.fixture
def rough(project):
    project.write("notes/rough_settings.py", ROUGH_SETTINGS)
    project.write("notes/rough_urls.py", ROUGH_URLS)
    project.environment["DJANGO_SETTINGS_MODULE"] = "notes.rough_settings"
    return project


def test_no_request_leaves_a_session_behind(rough, sessions):
    expected = {"/": 200, "/fails": 500, "/missing": 404, "/numbers": 200, "/background": 200}
    with rough.serve("notes.wsgi:application") as site:
        with ThreadPoolExecutor(8) as clients:
            statuses = [status for status, _ in clients.map(site.get, list(expected) * 20)]
        assert statuses == list(expected.values()) * 20, site.log.read_text()
        assert site.get("/wrong")[0] == 500
        assert site.get("/", b"body=milk") == (200, '{"notes": 1}')
        assert sessions.are_free()
        assert sessions.are_kept(5)
        # What is logged at the end of a response may come after its last piece.
        lost = "scope 'GET /numbers' changed 1 row of note"
        assert eventually(lambda: site.log.read_text().count(lost) == 20)
        log = site.log.read_text()
    assert sessions.are_gone()
    assert log.count("thread 'forgetful', in no scope, went without cleanup()") == 20
    assert "scope 'GET /fails' changed" not in log
    # The traceback of an SQL error ends with the view's line.
    assert 'in wrong\n    manager.handle().execute("SELECT nothing")\n' in log
    assert "simpycity_patches" not in log


def test_a_client_that_goes_away_leaves_no_session_behind(rough, sessions):
    with rough.serve("notes.wsgi:application") as site:
        for _ in range(3):
            site.abandon("/endless")
        assert sessions.are_free(), site.log.read_text()


def test_what_sends_a_requests_signals_inside_it_does_not_end_it(rough, sessions):
    with rough.serve("notes.wsgi:application") as site:
        # The last asks for a page that writes a note, too.
        for other, notes in [("job", 1), ("response", 2), ("client", 3), ("clients", 5)]:
            assert site.get(f"/{other}") == (200, str(notes)), site.log.read_text()
            assert sessions.are_free()
    assert sessions.are_gone()


def test_an_asynchronous_view_reaches_its_scope_by_sync_to_async(rough, sessions):
    with rough.serve("notes.wsgi:application") as site:
        assert site.get("/asynchronous") == (200, "['GET /asynchronous']"), site.log.read_text()
        assert sessions.are_free()
    assert sessions.are_gone()


def test_test_clients_commands_and_async_handlers_end_their_scopes(project, sessions):
    project.write("tests.py", TESTS)
    project.run("tests.py")
    assert sessions.are_gone()


def test_a_management_command_leaves_nothing(project, sessions):
    printed = project.run("-m", "django", "count_notes")
    assert printed.count("0 notes") == 10
    assert 1 <= int(printed.splitlines()[-1].removesuffix(" idle")) <= 4
    assert sessions.are_gone()


def test_background_threads_of_a_command_that_runs_for_days(project, sessions):
    project.write("notes/management/commands/jobs.py", JOBS)
    with project.start("-m", "django", "jobs") as (process, log):
        assert eventually(lambda: "ready" in log.read_text() and len(sessions.states()) == 4)
        process.kill()
    assert sessions.are_gone()


@pytest.mark.parametrize(
    "settings, told",
    [
        ("", "SIMPYCITY is not set: it must be a dictionary of settings"),
        ("SIMPYCITY = 'dbname=mine'", "SIMPYCITY is of type str: it must be a dictionary"),
        ("SIMPYCITY = {'dns': ''}", "SIMPYCITY.dns is not a setting: did you mean SIMPYCITY.dsn"),
    ],
)
def test_wrong_settings_are_told_at_start(project, settings, told):
    project.write(
        "wrong.py", f"INSTALLED_APPS = ['simpycity_template.frameworks.django']\n{settings}"
    )
    project.environment["DJANGO_SETTINGS_MODULE"] = "wrong"
    printed = project.run("-m", "django", "check", check=False)
    assert f"ImproperlyConfigured: {told}" in printed


def test_tests_use_the_database_of_djangos_test_runner_and_leave_the_real_one_alone(
    project, server, note
):
    (console,) = [
        block.text
        for block in blocks("docs/frameworks/django.rst", "console")
        if "django test" in block.text
    ]
    link = server.connect(project.environment["DATABASE"])
    with link.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES ('the real one')")
        (command,) = typed(console)
        printed = project.run(*command.split()[1:])
        assert "Ran 2 tests" in printed, printed
        assert "OK" in printed
        cursor.execute("SELECT body FROM note")
        assert cursor.fetchall() == [("the real one",)]
        # It was dropped: nobody had it open any more.
        cursor.execute(
            "SELECT count(*) FROM pg_database WHERE datname = %s",
            [f"test_{project.environment['DATABASE']}"],
        )
        assert cursor.fetchone()[0] == 0
    link.close()


def test_a_time_limit_while_a_request_begins_or_ends_leaves_nothing_in_use(manager):
    app = Simpycity(django.__name__, django)
    app.manager = manager

    def work(block):
        environ = {"REQUEST_METHOD": "GET"}
        with block():
            app.begin(WSGIHandler, environ=environ)
            backend()
            app.end(WSGIHandler)

    for _ in at_each_moment(work, "django/apps.py", "stack.py", "scope.py"):
        assert (manager.scopes.current(), in_use(manager)) == (None, [])
