"""A request that is made to cost much is refused at once, and keeps nobody else waiting."""

import re
import socket
from urllib.parse import urlsplit

import pytest
from pages import block
from production import ask, production
from projects import served
from support import PATIENCE

USE = "[server:main]\nuse = egg:waitress#main\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory, server):
    return production(tmp_path_factory.mktemp("slow"), server)


@pytest.fixture(scope="module", params=["production.ini", "development.ini", "before.ini"])
def address(project, request):
    # A project that was made before gets the lines of the page.
    text = (project / "production.ini").read_text()
    old = re.sub(r"(?m)^max_request_.*\n", "", text)
    page = block("docs/security.rst", "limited")
    (project / "before.ini").write_text(old.replace(USE, page))
    with served(project, request.param) as address:
        yield address


def raw(address, request):
    """The first line of the answer to bytes."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as link:
        link.sendall(request)
        return link.makefile("rb").readline()


def test_a_header_of_many_spaces_is_refused_at_once(address):
    # Without the limit waitress takes a quarter of a minute for it, and no thread goes on meanwhile.
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nX:" + b" " * 60_000 + b"x\r\n\r\n"
    assert raw(address, request).split()[1] == b"431"
    assert ask(address, "/")[0] == 200


def test_a_header_that_people_need_is_let_through(address):
    assert ask(address, "/", Cookie="a=" + "x" * 6000)[0] == 200


def test_a_body_of_more_than_ten_megabytes_is_refused_at_once(address):
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485761\r\n\r\n"
    assert raw(address, request).split()[1] == b"413"
    assert ask(address, "/")[0] == 200
