"""/_connections: one look tells who holds the connections, and shows nothing that is not its own."""

import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import setup_testing_defaults

import pytest
from selenium.webdriver.common.by import By
from simpycity.core import Raw
from support import PATIENCE, in_child, in_thread, until

from simpycity_template import PoolTimeout
from simpycity_template.middleware import ManagerMiddleware
from simpycity_template.monitoring.history import History
from simpycity_template.status_page import StatusPage

sleeper = Raw("SELECT 'the secret of the house', %s", ["what"])


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def get(application, path="/_connections", **environ):
    """The status, the headers and the text of an answer."""
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": path, "REMOTE_ADDR": environ.get("REMOTE_ADDR", "127.0.0.1")}
    answer = {}

    def start_response(status, headers):
        answer["status"], answer["headers"] = int(status.split()[0]), dict(headers)

    body = b"".join(application(environ, start_response)).decode()
    return answer["status"], answer["headers"], body


class Server(ThreadingMixIn, WSGIServer):
    """Python's own WSGI server, with a thread for each request."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def served(application):
    """The address of ``application``, served in a thread."""
    with make_server("127.0.0.1", 0, application, Server, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@contextmanager
def forgetful_thread(manager, label):
    """A thread that takes a connection, queries, and holds it."""
    go_on = threading.Event()

    def hold_on():
        with manager.scope(label):
            sleeper("x")
            go_on.wait(PATIENCE)

    thread = threading.Thread(target=hold_on, name="forgetful")
    thread.start()
    try:
        until(lambda: [s for s in manager.status() if s.label == label and s.last_sql])
        yield
    finally:
        go_on.set()
        thread.join(PATIENCE)


def texts(browser, selector):
    """The texts of elements, in one step: the page replaces them now and then."""
    script = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText)"
    return browser.execute_script(script, selector)


def test_without_the_setting_there_is_no_page(manager):
    assert get(StatusPage(hello, manager))[2] == "hello"


def test_all_else_goes_to_the_application(make_manager):
    page = StatusPage(hello, make_manager(status_page="true"))
    for path in ("/", "/_connections/", "/_connectionsx", "/_connections.js"):
        assert get(page, path)[2] == "hello"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"REMOTE_ADDR": "192.0.2.7"}, "not shown to 192.0.2.7"),
        ({"REMOTE_ADDR": "::ffff:192.0.2.7"}, "not shown to 192.0.2.7"),
        ({"REMOTE_ADDR": ""}, "the server gave none"),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "not shown through a proxy"),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, "not shown through a proxy"),
        ({"HTTP_HOST": "evil.example:5000"}, "Ask for this page at http://localhost"),
    ],
)
@pytest.mark.parametrize("setting", ["true", "127.0.0.1, ::1"])
def test_it_is_shown_to_this_machine_alone(make_manager, setting, environ, reason):
    page = StatusPage(hello, make_manager(status_page=setting))
    for path in ("/_connections", "/_connections.json"):
        status, _, text = get(page, path, **environ)
        assert status == 403
        assert reason in text


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:5000"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_several_names(make_manager, host, address):
    page = StatusPage(hello, make_manager(status_page="true"))
    assert get(page, REMOTE_ADDR=address, HTTP_HOST=host)[0] == 200


def test_who_else_may_see_it_is_told_in_the_setting(make_manager):
    page = StatusPage(hello, make_manager(status_page="10.1.0.0/16, 192.0.2.7"))
    assert get(page, REMOTE_ADDR="10.1.2.3", HTTP_HOST="app.example")[0] == 200
    assert get(page, REMOTE_ADDR="192.0.2.7")[0] == 200
    assert get(page, REMOTE_ADDR="127.0.0.1")[0] == 403


def test_it_can_only_be_read_and_only_its_own_script_runs(make_manager):
    page = StatusPage(hello, make_manager(status_page="true"))
    assert get(page, REQUEST_METHOD="POST")[0] == 405
    status, headers, text = get(page)
    policy = headers["Content-Security-Policy"]
    (nonce,) = set(re.findall(r"nonce-([\w-]+)", policy))
    assert policy.startswith("default-src 'none'; ")
    data = ' type="application/json" id="first"'
    elements = re.findall(r"<(?:script|style)([^>]*)>", text)
    assert sorted(elements) == [f' nonce="{nonce}"', f' nonce="{nonce}"', data]
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert nonce not in get(page)[2]


def test_no_value_and_no_password_is_in_what_it_shows(make_manager, dsn):
    manager = make_manager(dsn=f"{dsn} password=swordfish", status_page="true")
    page = StatusPage(hello, manager)
    with manager.scope("GET /<b>"):
        sleeper("the user's own")
        raw = Raw("SELECT 'the secret of the house', 4711, $$of the garden$$ AS \"kept\"")
        raw()
        # Not one of this process, so it is known from PostgreSQL alone.
        shown = get(page, "/_connections.json")[2]
        texts = json.loads(shown)
    for secret in ("secret", "garden", "4711", "swordfish", "user's"):
        assert secret not in shown
    assert texts["connections"][0]["last_sql"] == 'SELECT ?, ?, ? AS "kept"'


def test_it_answers_where_postgresql_does_not(make_manager):
    manager = make_manager(dsn="host=127.0.0.1 port=1 dbname=nowhere", status_page="true")
    shown = json.loads(get(StatusPage(hello, manager), "/_connections.json")[2])
    assert shown["problem"].startswith("PostgreSQL does not answer: ")


def test_it_answers_where_the_embedded_server_cannot_start(make_manager, tmp_path):
    (tmp_path / "taken").write_text("")
    manager = make_manager(dsn=f"embedded:{tmp_path}/taken", status_page="true")
    shown = json.loads(get(StatusPage(hello, manager), "/_connections.json")[2])
    assert f"{tmp_path}/taken" in shown["problem"]
    assert shown["metrics"]["in_use"] == 0


def test_the_picture_has_the_peak_of_each_second_and_the_level_between(make_manager):
    manager = make_manager(status_page="true", pool_size=2, max_overflow=0)
    page = StatusPage(hello, manager)

    def shown():
        return json.loads(get(page, "/_connections.json")[2])

    with manager.scope("a"):
        sleeper("x")
        with manager.scope("b"):
            sleeper("x")
        # From here on one is in use, and nothing happens.
        until(lambda: shown()["seconds"][-1][0] == 1)
        seconds = shown()["seconds"]
    assert max(in_use for in_use, _ in seconds) == 2
    assert len(seconds) == 300


def test_what_comes_back_was_in_use_in_its_last_second(make_manager, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("simpycity_template.monitoring.history.monotonic", lambda: clock[0])
    manager = make_manager()
    history = History(manager)
    with manager.scope("a"):
        sleeper("x")
        clock[0] = 102.5
    clock[0] = 103.0
    assert [in_use for in_use, _ in history.seconds()[-4:]] == [1, 1, 1, 0]


def test_who_waits_is_in_the_picture_from_the_first_second_to_the_last(make_manager, monkeypatch):
    clock = [1000.0]
    for module in ("monitoring.history", "pool.pool"):
        monkeypatch.setattr(f"simpycity_template.{module}.monotonic", lambda: clock[0])
    manager = make_manager(pool_size=1, max_overflow=0)
    history = History(manager)

    def wait():
        with manager.scope("waits"):
            sleeper("x")

    threads = [threading.Thread(target=wait) for _ in range(2)]
    with manager.scope("holds"):
        sleeper("x")
        for thread in threads:
            thread.start()
        until(lambda: len(manager.waiting()) == 2)
        clock[0] += 3
        assert history.seconds()[-5:] == [(0, 0), *[(1, 2)] * 4]
    for thread in threads:
        thread.join()
    assert history.seconds()[-5:] == [(0, 0), *[(1, 2)] * 4]


def test_the_last_minutes_go_on_from_what_was_long_before(manager, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("simpycity_template.monitoring.history.monotonic", lambda: clock[0])
    history = History(manager)
    with manager.scope("GET /notes"):
        sleeper("x")
        clock[0] += 86400
        assert history.seconds() == [(1, 0)] * 300
    clock[0] += 2
    assert history.seconds()[-3:] == [(1, 0), (0, 0), (0, 0)]


def wait_in_vain(manager):
    """Have a thread wait for the one connection that there may be, and give up."""
    with manager.scope("holds"):
        sleeper("x")
        with pytest.raises(PoolTimeout):
            in_thread(lambda: sleeper("x"))


def test_all_applications_of_a_manager_show_the_same_history(make_manager):
    manager = make_manager(status_page="true", pool_size=1, max_overflow=0, pool_timeout=0.05)
    StatusPage(hello, manager)
    wait_in_vain(manager)
    shown = json.loads(get(StatusPage(hello, manager), "/_connections.json")[2])
    assert [wait["served"] for wait in shown["waits"]] == [False]


def test_a_forked_child_shows_its_own_history(make_manager):
    manager = make_manager(status_page="true", pool_size=1, max_overflow=0, pool_timeout=0.05)
    page = StatusPage(hello, manager)
    wait_in_vain(manager)

    def look():
        shown = json.loads(get(page, "/_connections.json")[2])
        assert shown["waits"] == []
        assert shown["seconds"] == [[0, 0]] * 300

    assert in_child(look)


def test_an_exhausted_pool_names_thread_code_line_and_statement(make_manager, browser, screenshot):
    # The name is for the picture in the documentation.
    manager = make_manager(
        "helloworld", status_page="true", pool_size=1, max_overflow=0, pool_timeout=0.2
    )

    def ask(environ, start_response):
        sleeper("x")
        return hello(environ, start_response)

    application = StatusPage(ManagerMiddleware(ask, manager), manager)
    with forgetful_thread(manager, "nightly report"), served(application) as address:
        with pytest.raises(PoolTimeout):
            in_thread(lambda: get(application, "/notes"))
        browser.get_log("browser")
        browser.get(f"{address}/_connections")
        (card,) = texts(browser, "#held .card")
        assert "nightly report" in card
        assert "thread forgetful" in card
        assert re.search(r"test_status_page\.py:\d+ in hold_on", card)
        assert "SELECT ?, %s" in card
        (waited,) = texts(browser, "#waits .card")
        assert "GET /notes" in waited
        # How long a loaded machine takes to notice is another matter.
        assert re.search(r"gave up after \d+\.\d s", waited)
        assert "at most 1 of 1 in use" in browser.find_element(By.ID, "told").text
        assert browser.find_elements(By.CSS_SELECTOR, "svg .use")
        verdict = browser.find_element(By.ID, "verdict")
        until(lambda: "has kept a transaction open" in verdict.text)
        assert verdict.text.startswith("All connections (1) are in use; waiting: 0. Look at ")
        assert "“nightly report”, thread forgetful, took a connection there" in verdict.text
        assert browser.get_log("browser") == []
        screenshot("connections")
    # It is live: who has let go is gone, and so is the server.
    clock = browser.find_element(By.ID, "clock")
    until(lambda: "does not answer" in clock.text)


def test_holders_of_one_line_are_one_card_that_says_where_the_oldest_is_now(make_manager, browser):
    manager = make_manager(status_page="true")
    entered, leave = threading.Semaphore(0), threading.Event()

    def hold():
        with manager.scope("GET /slow"):
            sleeper("x")
            entered.release()
            leave.wait()

    threads = [threading.Thread(target=hold, name=f"worker {number}") for number in range(3)]
    for thread in threads:
        thread.start()
        entered.acquire()
    try:
        with served(StatusPage(hello, manager)) as address:
            browser.get(f"{address}/_connections")
            (card,) = texts(browser, "#held .card")
            assert "GET /slow × 3" in card
            assert "held for up to" in card
            assert "the oldest: thread worker 0, session" in card
            # The page is live, and the thread is on its way to where it waits.
            there = re.compile(r"its thread is now at \S*threading\.py:\d+ in wait")
            until(lambda: there.search(*texts(browser, "#held .card")))
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def test_the_page_has_its_first_numbers_in_it(make_manager):
    manager = make_manager("first </script>", status_page="true")
    handle = manager.open()
    page = get(StatusPage(hello, manager))[2]
    (found,) = re.findall(r'<script type="application/json" id="first">(.*?)</script>', page)
    first = json.loads(found)
    assert first["name"] == "first </script>"
    assert first["metrics"]["in_use"] == 1
    handle.close()
    manager.cleanup()


# Keeps its transaction open until its input ends.
ELSEWHERE = """
import sys
from simpycity.core import Raw
from simpycity_template import get_manager

name, dsn = sys.argv[1:]
manager = get_manager(name)
manager.configure({"simpycity.dsn": dsn, "simpycity.tag_statements": "true"})
with manager.scope("nightly <b>report</b>"):
    Raw("SELECT '<i>a secret</i>' AS \\"<i>\\"")()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_holder_of_a_session_of_another_process_is_named(make_manager, dsn, browser):
    manager = make_manager(status_page="true")
    program = [sys.executable, "-c", ELSEWHERE, manager.name, dsn]
    with (
        subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
        served(StatusPage(hello, manager)) as address,
    ):
        assert other.stdout.readline() == "ready\n"
        browser.get(f"{address}/_connections")
        (card,) = texts(browser, "#others .card")
        assert "nightly <b>report</b>" in card
        assert "idle in transaction for" in card
        assert f"process {other.pid}@" in card
        assert "thread MainThread" in card
        assert "<string>:10 in <module>" in card
        assert 'SELECT ? AS "<i>"' in card
        verdict = browser.find_element(By.ID, "verdict")
        until(lambda: "has kept a transaction open for" in verdict.text)
        assert verdict.text.startswith("Look at <string>:10 in <module>: “nightly <b>report</b>”,")
        other.stdin.close()
        until(lambda: browser.find_element(By.ID, "others").text == "None.")
        assert verdict.text == "Nobody keeps a transaction open."


def test_on_a_telephone_nothing_sticks_out(make_manager, browser):
    manager = make_manager(status_page="true", pool_size=1, max_overflow=0)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        with (
            forgetful_thread(manager, "GET /" + "a_long_address" * 20),
            served(StatusPage(hello, manager)) as address,
        ):
            browser.get(f"{address}/_connections")
            assert browser.find_element("css selector", "#held .card")
            assert browser.execute_script(
                "return document.documentElement.scrollWidth <= innerWidth && innerWidth == 360"
            )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
