"""Refuses requests that cannot be read, before the application reads them.

What an action reads of a request is decoded when it is asked for, and a visitor's bad bytes were an
error of the application then: a page of status 500, a traceback in the log and a mail.
"""

import codecs
from collections.abc import Callable, Iterable
from email.message import Message
from typing import Any
from urllib.parse import unquote_to_bytes

LONGEST_TYPE = 1000
"""Characters of a Content-Type. What reads one takes a time that grows with the square of its length; that of a
browser has about 70."""


class RequestCheck:
    """WSGI middleware: answers 400 where a request has bytes or a type that nobody can read."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        """
        Arguments:
            application: what answers all else.
        """
        self.application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""
        refusal = _of_query(environ.get("QUERY_STRING", "")) or (
            environ["REQUEST_METHOD"] not in ("GET", "HEAD")
            and _of_type(environ.get("CONTENT_TYPE", ""))
        )
        if not refusal:
            return self.application(environ, start_response)
        # The page of an error is drawn by another call with the same.
        environ["QUERY_STRING"] = environ["CONTENT_TYPE"] = ""
        body = refusal.encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("400 Bad Request", headers)
        return [body]


def _of_query(query: str) -> str:
    if "%" in query or not query.isascii():
        try:
            unquote_to_bytes(query.encode("latin-1")).decode("utf-8")
        except UnicodeError:
            return "The query of the address is not UTF-8.\n"
    return ""


def _of_type(content_type: str) -> str:
    if ";" not in content_type and not content_type.lower().startswith("multipart/"):
        return ""
    if len(content_type) > LONGEST_TYPE:
        return "The Content-Type is too long.\n"
    message = Message()
    message["Content-Type"] = " ".join(content_type.split())
    if message.get_content_maintype() == "multipart" and not message.get_boundary():
        return "A multipart body needs a boundary, which its Content-Type does not name.\n"
    charset = message.get_param("charset", "utf-8")
    try:
        codecs.lookup(str(charset))
    except (LookupError, ValueError):
        return "The Content-Type names a charset that there is not.\n"
    return ""
