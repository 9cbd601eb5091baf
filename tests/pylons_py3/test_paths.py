"""Paths that are not ASCII, and applications as answers, through real servers.

PEP 3333 has each byte of a path as a character.
"""

import http.client
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import webtest
from paste import fileapp, httpserver
from waitress import create_server

PYTHON2 = Path(__file__).with_name("python2")


@pytest.fixture(scope="module", params=["true", "false"], ids=["full stack", "bare"])
def application(request):
    """The application that is compared with Python 2."""
    sys.path.insert(0, str(PYTHON2))
    import serve

    yield serve.make_application(full_stack=request.param)
    sys.path.remove(str(PYTHON2))


@pytest.fixture(params=["Paste", "waitress"])
def get(request, application):
    """Asks a server for a path; returns the answer's status, Location and body."""
    if request.param == "Paste":
        server = httpserver.serve(application, "127.0.0.1", 0, start_loop=False)
        port, run, stop = server.server_port, server.serve_forever, server.server_close
    else:
        server = create_server(application, host="127.0.0.1", port=0)
        port, run, stop = server.effective_port, server.run, server.close

    def serve():
        # To close waitress' server ends its wait for a socket with an error.
        with suppress(OSError):
            run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def get(path, **headers):
        link = http.client.HTTPConnection("127.0.0.1", port)
        link.request("GET", path, headers={"Connection": "close", **headers})
        answer = link.getresponse()
        body = answer.read()
        link.close()
        return answer.status, answer.getheader("Location"), body

    yield get
    stop()


def test_an_action_gets_the_text_of_the_path(get):
    assert get("/hello/show/%C3%B6")[::2] == (200, b"show \\u00f6")
    assert get("/hello/show/%FF")[::2] == (200, b"show \\ufffd")
    status, _, body = get("/hello/req/%C3%B6")
    assert status == 200 and body.startswith(b"/hello/req/%C3%B6 /hello/req/\\u00f6 ")


def test_a_static_file_is_found_by_its_name(get):
    assert get("/%C3%B6%20%C3%A4.txt")[::2] == (200, b"umlaut")


def test_a_route_that_redirects_keeps_the_path(get):
    assert get("/old/%C3%B6")[1] == "/named/%C3%B6"


def test_the_address_for_https_keeps_the_path(get):
    status, location, _ = get("/hello/secure2/%C3%B6", Host="example.com")
    assert (status, location) == (302, "https://example.com/hello/secure2/%C3%B6")


@pytest.mark.parametrize(
    ("action", "body"),
    [("app", b"static file\n"), ("data", b"abc"), ("wsgi_fn", b"wsgi"), ("resp", b"r\xc3\xb6")],
)
def test_an_application_that_an_action_returns_answers(get, action, body):
    assert get(f"/hello/{action}")[::2] == (200, body)


def test_a_file_of_a_folder_is_found_by_its_name(tmp_path):
    (tmp_path / "ö").write_text("here")
    application = webtest.TestApp(fileapp.DirectoryApp(str(tmp_path)))
    assert application.get("/%C3%B6").text == "here"
