"""What the debugger and the error handler keep, and how long they wait."""

import gc
import re
import socket
import weakref

import pytest
from mails import smtp_server
from paste.registry import RegistryManager, StackedObjectProxy
from simpycity.core import Raw
from support import free_port, in_use
from webtest import TestApp

from simpycity_template.middleware import ManagerMiddleware
from simpycity_template.pylons_py3 import error_mail, errors

THROWN = {"paste.throw_errors": "", "REMOTE_ADDR": "127.0.0.1"}


class Thing:
    """Something that an application holds when it fails."""


def test_the_debugger_lets_go_of_the_oldest_failures(monkeypatch):
    monkeypatch.setattr(errors, "KEPT_FAILURES", 2)
    things = []
    proxy = StackedObjectProxy()

    def failing(environ, start_response):
        held = Thing()
        environ["paste.registry"].register(proxy, held)
        things.append(weakref.ref(held))
        raise ValueError("boom")

    debugger = errors.EvalException(failing)
    app = TestApp(RegistryManager(debugger))
    for _ in range(5):
        app.get("/", extra_environ=THROWN, expect_errors=True)
    gc.collect()
    assert [thing() is not None for thing in things] == [False, False, False, True, True]
    assert len(debugger.tracebacks) == 2
    assert {*debugger.frames} == {*debugger.requests}


def test_a_failed_request_in_the_debugger_holds_no_connection(manager, witness):
    def failing(environ, start_response):
        cursor = Raw("SELECT pg_backend_pid() AS pid")()
        pid = cursor.fetchone()["pid"]
        raise ValueError(f"in session {pid}")

    app = TestApp(errors.EvalException(ManagerMiddleware(failing, manager)))
    page = app.get("/", extra_environ=THROWN, expect_errors=True)
    pid = int(re.search(r"in session (\d+)", page.text)[1])
    assert in_use(manager) == []
    with witness.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid])
        assert cursor.fetchone() == ("idle",)
    # The frame is there all the same.
    frame = re.findall(r'id="frame-(\d+)"', page.text)[-1]
    secret = re.search(r'SECRET = "(\w+)"', page.text)[1]
    ask = {"__debugger__": "yes", "frm": frame, "s": secret, "cmd": "pid + 0, cursor.closed"}
    answer = app.get("/", ask, extra_environ=THROWN)
    assert f"({pid}, " in re.sub("<.*?>", "", answer.text)


def test_a_mail_server_that_says_nothing_does_not_hold_the_answer_up(monkeypatch):
    def failing(environ, start_response):
        raise ValueError("boom")

    monkeypatch.setattr(error_mail, "MAIL_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        app = errors.ErrorMiddleware(failing, error_email="a@b.example", smtp_server=server)
        page = TestApp(app).get("/", extra_environ=THROWN, expect_errors=True)
    assert "An error occurred." in page
    assert re.search("could not be reported: .*timed out", page.errors)


@pytest.mark.parametrize("handler", [errors.EvalException, errors.ErrorMiddleware])
def test_a_traceback_in_the_log_says_when_it_was_and_for_which_request(handler):
    def failing(environ, start_response):
        raise ValueError("boom")

    app = TestApp(handler(failing))
    page = app.get("/a%0Ab?password=geheim", extra_environ=THROWN, expect_errors=True)
    first, second, *_, last = page.errors.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR \[MainThread\] GET http://localhost/a%0Ab",
        first,
    )
    assert (second, last) == ("  Traceback (most recent call last):", "  ValueError: boom")


def test_where_the_database_cannot_be_reached_it_says_when_to_ask_again(make_manager):
    manager = make_manager(dsn=f"host=127.0.0.1 port={free_port()} dbname=gone")

    def view(environ, start_response):
        manager.handle().execute("SELECT 1")

    app = TestApp(errors.ErrorMiddleware(ManagerMiddleware(view, manager)))
    page = app.get("/", extra_environ=THROWN, expect_errors=True)
    assert (page.status_int, page.headers["Retry-After"]) == (503, "10")
    # The log ends with the application's line: none follows that leads from there to psycopg2.
    frames = re.findall(r'(?m)^ +File ".*", line \d+, in (\w+)', page.errors)
    assert frames[-1] == "view"
    assert "Connection refused" in page.errors


def test_an_error_of_several_lines_is_answered_and_mailed():
    def failing(environ, start_response):
        raise ValueError("a\rBcc: x@y.example\x1cb\vc\nd")

    with smtp_server() as server:
        address = f"127.0.0.1:{server.port}"
        app = errors.ErrorMiddleware(failing, error_email="a@b.example", smtp_server=address)
        page = TestApp(app).get("/", extra_environ=THROWN, expect_errors=True)
        (mail,) = server.handler.box
    assert "An error occurred." in page
    assert mail["Subject"] == "ValueError: a Bcc: x@y.example b c d"
    assert mail["Bcc"] is None


def test_greenlets_that_would_share_a_request_are_refused(monkeypatch):
    app = TestApp(RegistryManager(lambda environ, start_response: pytest.fail("it was called")))
    monkeypatch.setattr("threading.local", type("local", (), {}))
    with pytest.raises(RuntimeError, match="before all that loads the application"):
        app.get("/")
