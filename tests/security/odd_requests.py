"""Requests that nobody ought to send, and a client that sends them."""

import http.client
import socket
from urllib.parse import urlsplit

from hypothesis import strategies as st
from projects import Visitor
from support import PATIENCE

TEXTS = st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
ODD = [
    b"", b"\xff\xfe", b"%ff%fe", b"%00", b"..", b"%2e%2e%2f", b"//", b"\\", b"%", b"%zz", b"\0",
    b"a" * 1000, b"<script>alert(1)</script>", b"'\"--;/*", b"%s%(x)s{0}${1}#{}", b"-1", b"1" * 40,
    "\N{ZERO WIDTH JOINER}\N{RIGHT-TO-LEFT OVERRIDE}\u0130".encode(), b"\xc0\xaf", b"\xed\xa0\x80",
    b"%0d%0aSet-Cookie:%20a=b", b"%ed%a0%80",
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
    b"/welcome/_private", b"/welcome/__call__", b"/favicon.svg%00", b"/notebook/delete",
]  # fmt: skip


def one_line(piece: bytes) -> bytes:
    return piece.translate(None, b"\r\n")


@st.composite
def requests(draw: st.DrawFn, visitor: "Client") -> bytes:
    """The bytes of a request, which may be none.

    Some have the visitor's session and the token of its forms, so that they get beyond both.
    """
    if draw(st.integers(0, 19)) == 0:
        return b"x" + draw(st.binary(max_size=200)) + b"\r\n\r\n"
    own = draw(st.integers(0, 3)) == 0
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"X"]))
    path = draw(st.sampled_from(PATHS)) + draw(st.just(b"") | PIECES)
    query = draw(st.just(b"") | PIECES.map(lambda piece: b"?" + piece))
    lines = [method + b" " + one_line(path + query).replace(b" ", b"%20") + b" HTTP/1.1"]
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        lines.append(name + b": " + one_line(draw(st.sampled_from(VALUES) | PIECES)))
    if not any(line.startswith(b"Host:") for line in lines):
        lines.append(b"Host: localhost")
    body = draw(st.just(b"") | st.binary(max_size=300) | PIECES.map(lambda p: b"title=" + p))
    if own:
        lines = [line for line in lines if not line.startswith(b"Cookie:")]
        lines.append(b"Cookie: " + visitor.session)
        body += b"&" + visitor.token
    if body or method == b"POST":
        lines.append(b"Content-Length: %d" % len(body))
        if not any(line.startswith(b"Content-Type:") for line in lines):
            lines.append(b"Content-Type: application/x-www-form-urlencoded")
    if not body:
        # No client may expect to continue without one, and waitress would wait for it.
        lines = [line for line in lines if not line.startswith(b"Expect:")]
    return b"\r\n".join([*lines, b"", body])


class Client:
    """A visitor who sends bytes, and keeps the connection as long as the server does.

    Attributes:
        session: the cookie of a session.
        token: the field with which a form of that session is sent.
    """

    def __init__(self, address: str) -> None:
        self._where = urlsplit(address)
        self._link: socket.socket | None = None
        visitor = Visitor(address)
        visitor.get("/notes")
        self.session = visitor.headers["Set-Cookie"].split(";")[0].encode()
        ((name, value),) = visitor.token().items()
        self.token = f"{name}={value}".encode()

    def send(self, request: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the answer, and its body."""
        if self._link is None:
            where = (self._where.hostname or "", self._where.port or 80)
            self._link = socket.create_connection(where, timeout=PATIENCE)
        self._link.sendall(request)
        method = request.split(b" ", 1)[0].decode("latin-1")
        answer = http.client.HTTPResponse(self._link, method=method)
        answer.begin()
        body = answer.read()
        if answer.will_close:
            self.close()
        return answer, body

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._link is not None:
            self._link.close()
            self._link = None
