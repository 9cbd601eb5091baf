"""An application in production, with each template engine: what browsers are told, and odd requests.

ODD_REQUESTS says how many odd requests are sent to each application; `make odd-requests` sends 20,000.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from odd_requests import Client, requests
from production import ask, production
from projects import ENGINES, Visitor, served
from psycopg2.extensions import parse_dsn
from support import until

REQUESTS = int(os.environ.get("ODD_REQUESTS", "160"))
# Of one example of Hypothesis, which may draw only so much.
BATCH = 8
# Seconds of a processor, and not of a clock: other tests run at the same time. None takes a tenth of it.
SLOWEST = 10 if REQUESTS < 1000 else 1


@dataclass(frozen=True)
class Served:
    """An application in production.

    Arguments:
        address: where it is.
        process: its server.
        log: what it has written.
        busy: says how many sessions of its database are not idle.
    """

    address: str
    process: psutil.Process
    log: Path
    busy: Callable[[], int]


@pytest.fixture(scope="module", params=ENGINES)
def app(tmp_path_factory, server, request):
    folder = tmp_path_factory.mktemp(request.param)
    project = production(folder, server, f"template_engine={request.param}")
    ini = project / "production.ini"
    dsn = re.search(r"(?m)^simpycity.dsn = (.*)", ini.read_text())[1]
    link = server.connect()

    def busy():
        with link.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'",
                [parse_dsn(dsn)["dbname"]],
            )
            return cursor.fetchone()[0]

    with served(project, "production.ini") as address:
        (pid,) = {
            listening.pid
            for listening in psutil.net_connections("tcp")
            if listening.status == "LISTEN" and listening.laddr.port == urlsplit(address).port
        }
        yield Served(address, psutil.Process(pid), project / "serve.log", busy)
    link.close()


@pytest.fixture
def address(app):
    return app.address


@pytest.mark.parametrize("path", ["/", "/notes", "/nowhere", "/style.css"])
def test_each_answer_has_the_headers(address, path):
    headers = ask(address, path)[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")


def test_the_pages_keep_their_own_policy(browser, address):
    from selenium.webdriver.common.by import By

    browser.get_log("browser")
    browser.get(address)
    browser.get(address + "/notes")
    browser.find_element(By.NAME, "title").send_keys("Milk")
    browser.find_element(By.CSS_SELECTOR, "#add-note button").click()
    assert browser.find_element(By.CSS_SELECTOR, ".notes h2").text == "Milk"
    assert browser.get_log("browser") == []
    # It is a policy: what stands in the page is not run.
    browser.execute_script(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))"
    )
    assert browser.execute_script("return window.ran") is None


def test_the_cookie_of_a_session_goes_by_https_alone_and_is_not_for_scripts(address):
    cookie = ask(address, "/notes")[1]["Set-Cookie"].lower()
    assert "; secure" in cookie and "; httponly" in cookie and "; samesite=lax" in cookie


def test_the_first_page_shows_neither_versions_nor_the_requests_of_others(address):
    page = Visitor(address).get("/")
    assert "HelloWorld is running" in page
    assert "GET /" not in page and "Pylons " not in page and not re.search(r"\d+\.\d+", page)


def busy_seconds(process):
    """For how long a process has kept a processor busy."""
    times = process.cpu_times()
    return times.user + times.system


def test_each_odd_request_is_answered_soon_and_leaves_nothing_behind(app):
    client = Client(app.address)
    threads = app.process.num_threads()
    slowest = 0.0

    @settings(
        max_examples=REQUESTS // BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(requests(client), min_size=BATCH, max_size=BATCH))
    def each(batch):
        nonlocal slowest
        for request in batch:
            before = busy_seconds(app.process)
            answer, body = client.send(request)
            took = busy_seconds(app.process) - before
            slowest = max(took, slowest)
            assert took < SLOWEST, request
            known = answer.status < 500 or answer.status in (501, 503)
            assert known, (request, app.log.read_text()[-3000:])
            assert b"Traceback" not in body, request
            cookies = answer.headers.get_all("Set-Cookie", [])
            assert all(cookie.startswith("helloworld=") for cookie in cookies), request

    each()
    client.close()
    print(f"the slowest request took {slowest:.2f} s of a processor")
    until(lambda: app.process.num_threads() <= threads)
    until(lambda: app.busy() == 0)
    assert ask(app.address, "/notes")[0] == 200
    assert "Traceback" not in app.log.read_text()
