"""Plain WSGI and web.py behind ManagerMiddleware, on waitress."""

from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from urllib.request import urlopen

import pytest
from support import PATIENCE, free_port
from waiting import eventually

ROUGH_PLAIN = """
from plain import *
count = Raw("SELECT count(*) FROM pg_class")

def rough(environ, start_response):
    path = environ["PATH_INFO"]
    count()
    if path == "/fails":
        1 / 0
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/endless":
        return (b"%d" % count().fetchone()[0] for _ in iter(int, 1))
    if path == "/breaks":
        return (b"%d" % (1 // (count().fetchone()[0] - n)) for n in range(10**6))
    return [b"done"]

application = ManagerMiddleware(rough, manager)
"""

TURNS = """
import sys
from gevent.pywsgi import WSGIServer
from plain import *

one = Raw("SELECT 1")

def pieces(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/queries":
        return (b"%60000d" % one().fetchone()[0] for _ in range(1000))
    if path == "/fetched":
        value = one().fetchone()[0]
        manager.cleanup()
        return (b"%60000d" % value for _ in range(1000))
    return [b"done"]

WSGIServer(("127.0.0.1", int(sys.argv[1])), ManagerMiddleware(pieces, manager)).serve_forever()
"""

ROUGH_PAGES = """
from pages import *

class Fails:
    def GET(self):
        add("never committed")
        1 / 0

class Missing:
    def GET(self):
        add("never committed")
        raise web.notfound()

class Endless:
    def GET(self):
        while True:
            yield str(count().fetchone()[0])

urls += ("/fails", "Fails", "/missing", "Missing", "/endless", "Endless")
rough = web.application(urls, globals())
application = rough.wsgifunc(lambda wsgi: ManagerMiddleware(wsgi, manager))
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("wsgi")
    return project


def load(site, expected):
    with ThreadPoolExecutor(8) as clients:
        statuses = [status for status, _ in clients.map(site.get, list(expected) * 20)]
    assert statuses == list(expected.values()) * 20, site.log.read_text()
    for _ in range(3):
        site.abandon("/endless")


def test_the_plain_application_streams(project, sessions):
    with project.serve("plain:application") as site:
        assert site.get("/")[1].endswith("\n100\n")
        assert sessions.are_free()
    assert sessions.are_gone()


def test_no_request_of_a_plain_application_leaves_a_session_behind(project, sessions):
    project.write("rough.py", ROUGH_PLAIN)
    with project.serve("rough:application") as site:
        load(site, {"/": 200, "/fails": 500})
        with pytest.raises(IncompleteRead):
            site.get("/breaks")
        assert sessions.are_free(), site.log.read_text()
        assert sessions.are_kept(5)
    assert sessions.are_gone()


def test_a_server_that_sends_bodies_by_turns_cuts_none_in_silence(project, sessions):
    """gevent's does, without its monkey patches: while a client reads slowly."""
    project.write("turns.py", TURNS)
    port = free_port()
    with project.serve_on(port, "turns.py", str(port)) as site:
        with urlopen(f"{site.address}/queries", timeout=PATIENCE) as body:
            assert site.get("/") == (200, "done")
            assert sessions.are_free()
            with pytest.raises(IncompleteRead):
                body.read()
        told = "RuntimeError: the response body of 'GET /queries' was cut"
        assert eventually(lambda: told in site.log.read_text())
        with urlopen(f"{site.address}/fetched", timeout=PATIENCE) as body:
            assert site.get("/") == (200, "done")
            assert len(body.read()) == 60_000_000
    assert sessions.are_gone()


def test_no_request_of_webpy_leaves_a_session_behind(project, sessions):
    project.write("rough.py", ROUGH_PAGES)
    with project.serve("rough:application") as site:
        assert site.get("/", b"milk") == (200, "1")
        load(site, {"/": 200, "/fails": 500, "/missing": 404})
        assert sessions.are_free(), site.log.read_text()
        assert sessions.are_kept(5)
        assert site.get("/") == (200, "1")
    assert sessions.are_gone()
