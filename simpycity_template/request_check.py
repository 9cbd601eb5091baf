"""Refuses requests that cannot be read, before the application reads them.

What an action reads of a request is decoded when it is asked for, and a visitor's bad bytes were an
error of the application then: a page of status 500, a traceback in the log and a mail.
"""

import io
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from simpycity_template.form_body import FormBody, FormError

LONGEST_TYPE = 1000
"""Characters of a Content-Type. What reads one takes a time that grows with the square of its length; that of a
browser has about 70."""

MOST_FIELDS = 1000

_BOUNDARY = re.compile(r"[ -~]{0,200}[!-~]")
_FORMS = ("", "application/x-www-form-urlencoded", "multipart/form-data")


class RequestCheck:
    """WSGI middleware: answers 400 where a request has bytes, a type or a form that nobody can read."""

    def __init__(
        self, application: Callable[..., Iterable[bytes]], max_fields: int = MOST_FIELDS
    ) -> None:
        """
        Arguments:
            application: what answers all else.
            max_fields: how many fields a form may have.
        """
        self.application = application
        self._max_fields = max_fields

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""
        content_type = environ.get("CONTENT_TYPE", "")
        refusal = _of_query(environ.get("QUERY_STRING", "")) or _of_type(content_type)
        if refusal:
            return _refuse(refusal, environ, start_response)
        kind, parameters = _taken_apart(content_type)
        if kind in _FORMS:
            boundary = parameters["boundary"] if kind.startswith("multipart/") else ""
            body = FormBody(environ["wsgi.input"], boundary, self._max_fields)
            environ["wsgi.input"] = body
        try:
            return self.application(environ, start_response)
        except FormError as error:
            return _refuse(f"{error}\n", environ, start_response)


def _refuse(
    refusal: str, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    # The page of an error is drawn by another call with the same.
    environ |= {"QUERY_STRING": "", "CONTENT_TYPE": "", "CONTENT_LENGTH": "0"}
    environ["wsgi.input"] = io.BytesIO()
    body = refusal.encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("400 Bad Request", headers, sys.exc_info() if sys.exc_info()[0] else None)
    return [body]


def _taken_apart(content_type: str) -> tuple[str, dict[str, str]]:
    """Return the kind and the parameters of a Content-Type, as WebOb will read them."""
    # Two parsers may see two boundaries. It is imported here because only Pylons' applications have it.
    from webob.compat import parse_header

    kind, parameters = parse_header(content_type)
    return kind.lower(), parameters


def _of_query(query: str) -> str:
    if "%" in query or not query.isascii():
        try:
            unquote_to_bytes(query.encode("latin-1")).decode("utf-8")
        except UnicodeError:
            return "The query of the address is not UTF-8.\n"
    return ""


def _of_type(content_type: str) -> str:
    if ";" not in content_type and not content_type.lower().lstrip().startswith("multipart/"):
        return ""
    if len(content_type) > LONGEST_TYPE:
        return "The Content-Type is too long.\n"
    kind, parameters = _taken_apart(content_type)
    if kind.startswith("multipart/") and not _BOUNDARY.fullmatch(parameters.get("boundary", "")):
        return "A multipart body needs a boundary, which its Content-Type does not name.\n"
    charset = _charset(content_type)
    if kind in _FORMS and charset != "UTF-8":
        return "The Content-Type of the form names another charset than UTF-8.\n"
    try:
        io.TextIOWrapper(io.BytesIO(), charset)
    except (LookupError, ValueError):
        return "The Content-Type names a charset that there is not.\n"
    return ""


def _charset(content_type: str) -> str:
    """Return the charset of a Content-Type, as WebOb will read it."""
    from webob.request import BaseRequest

    return BaseRequest({"CONTENT_TYPE": content_type}).charset
