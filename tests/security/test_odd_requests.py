"""Whatever a visitor sends to an application in production, it answers, and goes on.

ODD_REQUESTS says how many are sent to each template engine's application; `make odd-requests` sends
20,000.
"""

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from production import ask, production
from projects import ENGINES, served
from psycopg2.extensions import parse_dsn
from support import PATIENCE, until

REQUESTS = int(os.environ.get("ODD_REQUESTS", "150"))
# Seconds of a processor, and not of a clock: other tests run at the same time. None takes a tenth of it.
SLOWEST = 10 if REQUESTS < 1000 else 1

TEXTS = st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
ODD = [
    b"", b"\xff\xfe", b"%ff%fe", b"%00", b"..", b"%2e%2e%2f", b"//", b"\\", b"%", b"%zz", b"\0",
    b"a" * 1000, b"<script>alert(1)</script>", b"'\"--;/*", b"%s%(x)s{0}${1}#{}", b"-1", b"1" * 40,
    "\N{ZERO WIDTH JOINER}\N{RIGHT-TO-LEFT OVERRIDE}\u0130".encode(), b"\xc0\xaf", b"\xed\xa0\x80",
]  # fmt: skip
PIECES = TEXTS | st.binary(max_size=30) | st.sampled_from(ODD)

NAMES = [
    b"Cookie", b"Host", b"Range", b"If-Modified-Since", b"If-None-Match", b"If-Range", b"Accept",
    b"Accept-Language", b"Accept-Charset", b"Content-Type", b"Referer", b"X-Forwarded-For",
    b"X-Forwarded-Host", b"Forwarded", b"Authorization", b"X-Requested-With", b"Origin", b"Expect",
    b"X-HTTP-Method-Override", b"Content-Encoding", b"User-Agent", b"X-Odd",
]  # fmt: skip
VALUES = [
    b"bytes=9-1", b"bytes=-", b"bytes=0-0,5-", b"bytes=99999999999-", b"pages=1", b"bytes=a-b",
    b"Thu, 99 Foo 2026 25:61:61 GMT", b"yesterday", b"W/\"x\"", b"*", b"helloworld=", b"helloworld=x",
    b"helloworld=" + b"A" * 200, b"a=b; $Path=/; c", b";;;===", b"multipart/form-data",
    b"multipart/form-data; boundary=", b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded; charset=none", b"text/html; charset=utf-16", b"en;q=x",
    b"*/*;q=9", b"gzip", b"Basic =", b"evil.example", b"[::1", b"a b", b"100-continue", b"1.2.3.4:x",
]  # fmt: skip
PATHS = [
    b"/", b"/notes", b"/notes/1/delete", b"/style.css", b"/favicon.svg", b"/error/document",
    b"/welcome/index", b"/notebook/add", b"/echo/index", b"/echo/index",
    b"/echo/index", b"/_connections", b"/nowhere", b"/error/document/404", b"*",
    b"http://evil.example/notes", b"/.", b"/..", b"/style.css/", b"/notes;x", b"/welcome/__init__",
    b"/welcome/_private", b"/welcome/__call__", b"/favicon.svg%00",
]  # fmt: skip


def one_line(piece):
    return piece.translate(None, b"\r\n")


@st.composite
def requests(draw):
    """The bytes of a request, which may be none."""
    if draw(st.integers(0, 19)) == 0:
        return b"x" + draw(st.binary(max_size=200)) + b"\r\n\r\n"
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"X"]))
    path = draw(st.sampled_from(PATHS)) + draw(st.just(b"") | PIECES)
    query = draw(st.just(b"") | PIECES.map(lambda piece: b"?" + piece))
    lines = [method + b" " + one_line(path + query).replace(b" ", b"%20") + b" HTTP/1.1"]
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        lines.append(name + b": " + one_line(draw(st.sampled_from(VALUES) | PIECES)))
    if not any(line.startswith(b"Host:") for line in lines):
        lines.append(b"Host: localhost")
    body = draw(st.just(b"") | st.binary(max_size=300) | PIECES.map(lambda p: b"title=" + p))
    if body or method == b"POST":
        lines.append(b"Content-Length: %d" % len(body))
        if not any(line.startswith(b"Content-Type:") for line in lines):
            lines.append(b"Content-Type: application/x-www-form-urlencoded")
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


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


def busy_seconds(process):
    """For how long a process has kept a processor busy."""
    times = process.cpu_times()
    return times.user + times.system


def send(address, request):
    """All that is answered to bytes."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as link:
        link.sendall(request)
        return link.makefile("rb").read()


def test_each_odd_request_is_answered_soon_and_leaves_nothing_behind(app):
    ask(app.address, "/")
    threads = app.process.num_threads()

    @settings(
        max_examples=REQUESTS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def each(request):
        before = busy_seconds(app.process)
        answer = send(app.address, request)
        assert busy_seconds(app.process) - before < SLOWEST, request
        assert answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), request
        status = int(answer.split()[1])
        assert status < 500 or status in (501, 503), (request, app.log.read_text()[-3000:])
        assert b"Traceback" not in answer, request

    each()
    assert app.process.num_threads() == threads
    until(lambda: app.busy() == 0)
    assert ask(app.address, "/notes")[0] == 200
    assert "Traceback" not in app.log.read_text()
