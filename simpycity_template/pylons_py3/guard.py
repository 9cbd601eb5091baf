"""Catches what an application raises, also while its body is read, and answers in its place."""

import sys
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from threading import current_thread
from typing import Any

from paste.request import construct_url

from simpycity_template.pylons_py3.bodies import close
from simpycity_template.pylons_py3.log_entry import one_entry

PAGE = """<!DOCTYPE html>
<html><head><title>Server Error</title></head>
<body><h1>Server Error</h1>{}</body></html>
"""


class Guard:
    """Calls an application, and answers in its place when it raises.

    What is expected further out (``paste.expected_exceptions``), or asked for by a test
    (``paste.throw_errors``), is let through.
    """

    app: Callable[..., Any]

    def guarded(self, environ, start_response):
        """Call the application."""
        if environ.get("paste.throw_errors"):
            return self.app(environ, start_response)
        body = None
        try:
            body = self.app(environ, start_response)
            return body if isinstance(body, (list, tuple)) else GuardedBody(body, self, environ)
        except Exception as error:
            close(body)
            if isinstance(error, tuple(environ.get("paste.expected_exceptions", ()))):
                raise
            status, more = self.status(error)
            page, headers = self.page(self.report(environ), environ)
            headers = [("Content-Type", "text/html; charset=utf-8"), *headers, *more]
            start_response(status, headers, sys.exc_info())
            return [page.encode("utf-8", "replace")]

    def report(self, environ):
        """Log the exception that is being handled, and return its traceback."""
        raise NotImplementedError

    def page(self, traceback, environ):
        """Return the HTML page that is the answer, and further headers of it."""
        raise NotImplementedError

    def status(self, error):
        """Return the status of the answer to an error, and the headers that go with it."""
        return "500 Internal Server Error", []


class GuardedBody:
    """A body of which a failure is reported while it is read."""

    def __init__(self, body, guard, environ):
        self._body = body
        self._pieces = iter(body)
        self._guard = guard
        self._environ = environ
        # A failure before the first piece can still be answered with a page.
        self._first = list(islice(self._pieces, 1))

    def __iter__(self):
        return self

    def __next__(self):
        if self._first:
            return self._first.pop()
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except Exception:
            # What has been sent cannot be taken back: the server breaks off.
            self._guard.report(self._environ)
            raise

    def close(self):
        """Close the application's body."""
        close(self._body)


def log(traceback, environ, file):
    """Write a traceback, below a line that says when, in which thread and for which request."""
    # In one piece, and without the query, which may have secrets: those who read a log are many.
    when = datetime.now().isoformat(" ", "milliseconds")
    request = f"{environ['REQUEST_METHOD']} {construct_url(environ, with_query_string=False)}"
    text = f"{when} ERROR [{current_thread().name}] {request}\n{traceback.plaintext.rstrip()}"
    file.write(f"{one_entry(text)}\n")
