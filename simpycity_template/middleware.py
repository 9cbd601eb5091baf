"""One request, one scope: for any WSGI application."""

from collections.abc import Callable, Iterable
from typing import Any

from simpycity_template.manager import Manager
from simpycity_template.scopes.request import RequestScope, StreamedBody, is_complete

COMPUTED = "simpycity.computed"
"""Key of the environ: a framework puts the manager there whose scope the response does not need any
more, although its body is not a list."""

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ManagerMiddleware:
    """Gives each request a scope of ``manager``, labelled ``GET /notes/7`` for example."""

    def __init__(self, application: WSGIApplication, manager: Manager) -> None:
        self.application = application
        self.manager = manager

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""
        return respond_in_scope(self.manager, self.application, environ, start_response)


def respond_in_scope(
    manager: Manager,
    application: WSGIApplication,
    environ: dict[str, Any],
    start_response: Callable[..., Any],
) -> Iterable[bytes]:
    """Call ``application`` in a scope that lasts until its response is complete."""
    request = RequestScope(manager.scopes, environ)
    try:
        with request:
            body = application(environ, request.answer(start_response))
        if is_complete(body, environ):
            request.close()
            return body
        if environ.get(COMPUTED) is manager:
            # It stays a stream, because what is called when it is closed may query.
            request.close()
        return StreamedBody(body, request)
    except BaseException:
        # Twice, because a task's time limit may interrupt the first before it has begun.
        try:
            request.abort()
        finally:
            request.abort()
        raise
