"""One request, one scope: for any WSGI application.

The scope ends with the response. A body that is a list has said all there is to say, so its
scope ends at once. Any other body is a stream, which may query while it is sent, and keeps its
scope until it is exhausted, closed or dropped.
"""

import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from simpycity_template.local import PerThread
from simpycity_template.manager import Manager
from simpycity_template.scope import Scope

log = logging.getLogger("simpycity_template")

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
    scope = request_scope(manager, environ)
    with _Current(manager, scope):
        try:
            body = application(environ, start_response)
        except BaseException:
            scope.close()
            raise
        if is_complete(body, environ):
            scope.close()
            return body
    return Stream(body, manager, scope)


class Stream:
    """A response body that keeps its scope until it has been sent."""

    def __init__(self, body: Iterable[bytes], manager: Manager, scope: Scope) -> None:
        self._body = body
        self.manager = manager
        self.scope = scope
        self._iterator: Iterator[bytes] | None = None
        self._closed = False
        _thread.get().streams.add(self)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> bytes:
        with _Current(self.manager, self.scope):
            try:
                if self._iterator is None:
                    self._iterator = iter(self._body)
                return next(self._iterator)
            except BaseException:
                # Exhausted or broken: nothing more of it will be sent.
                self.scope.close()
                raise

    def close(self) -> None:
        """Close the body, and with it the scope."""
        if self._closed:
            return
        self._closed = True
        _thread.get().streams.discard(self)
        with _Current(self.manager, self.scope):
            try:
                close = getattr(self._body, "close", None)
                if close:
                    close()
            finally:
                self.scope.close()

    def __del__(self) -> None:
        # The client went away and the server dropped the body without a word.
        if sys.is_finalizing():
            return
        try:
            self.close()
        except Exception:
            log.exception("closing the dropped body of %r failed", self.scope.label)


class _Current:
    """A block in which a scope is its thread's current one."""

    def __init__(self, manager: Manager, scope: Scope) -> None:
        self._manager = manager
        self._scope = scope

    def __enter__(self) -> None:
        self._manager.enter(self._scope)
        _thread.get().depth += 1

    def __exit__(self, *error: object) -> None:
        _thread.get().depth -= 1
        self._manager.leave(self._scope)


class _Thread:
    """The streams that a thread has begun, and how many calls of applications it is in."""

    def __init__(self) -> None:
        self.depth = 0
        self.streams: weakref.WeakSet[Stream] = weakref.WeakSet()


_thread = PerThread(_Thread)


def _close_abandoned_streams(manager: Manager) -> None:
    for stream in [stream for stream in _thread.get().streams if stream.manager is manager]:
        try:
            stream.close()
        except Exception:
            log.exception("closing the abandoned body of %r failed", stream.scope.label)


def request_scope(manager: Manager, environ: dict[str, Any]) -> Scope:
    """A scope for the request of ``environ``, not yet entered."""
    key = f"simpycity_template.{manager.name}"
    if key not in environ and not _thread.get().depth:
        # A new request of this thread, not one within another (an error document, a page made
        # of several): whatever the thread still streams, its server has forgotten to close.
        _close_abandoned_streams(manager)
    environ[key] = True
    return Scope(request_label(environ))


def is_complete(body: Any, environ: dict[str, Any]) -> bool:
    """Whether nothing of ``body`` is still to be computed: a list, or a file for the server."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (
        isinstance(wrapper, type) and isinstance(body, wrapper)
    )


def request_label(environ: dict[str, Any]) -> str:
    """What a request's scope is called: ``GET /notes/7``."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return (
        f"{environ.get('REQUEST_METHOD', '')} {path.encode('latin-1').decode('utf-8', 'replace')}"
    )
