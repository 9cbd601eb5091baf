"""A request's scope, and the response body that is still being sent.

The scope ends with the response. A body that is a list holds all of the response, so its scope ends
at once. Any other body is a stream, which may query while it is sent, and keeps its scope until it
is exhausted, closed or dropped.
"""

import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from simpycity_template.pool.lost_writes import Outcome
from simpycity_template.pool.tracebacks import end_at_application
from simpycity_template.process.signals import raised_by_handler
from simpycity_template.process.thread_local import PerThread
from simpycity_template.scopes.scope import Scope
from simpycity_template.scopes.stack import Stacks

log = logging.getLogger("simpycity_template")


class RequestScope:
    """A request's unit of work: a block that is entered each time that the request goes on.

    It is the request's scope, and those that were begun inside it and not left: a generator that
    waits between two pieces may be in a block of its own.

    Attributes:
        scope: the request's own.
        outcome: whether it was answered with an error.
        stacks: the scopes of its manager.
    """

    def __init__(self, stacks: Stacks, environ: dict[str, Any]) -> None:
        key = f"simpycity_template.{stacks.name}"
        if key not in environ and not _is_in_request():
            # A new request of this thread, not one within another (an error document, a page made
            # of several).
            _abort_streams(stacks)
        environ[key] = True
        self.stacks = stacks
        self.scope = Scope(request_label(environ))
        self.outcome = self.scope.outcome = Outcome()
        self._scopes = [self.scope]

    def __enter__(self) -> None:
        for scope in self._scopes:
            self.stacks.enter(scope)
        _thread.get().requests.append(self)

    def __exit__(
        self, kind: object = None, error: BaseException | None = None, trace: object = None
    ) -> None:
        self._leave()
        if error is not None:
            end_at_application(error)

    def answer(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``start_response`` for an application whose status is the request's outcome."""

        def start(status: str, *rest: Any, **named: Any) -> Any:
            self.outcome.known(is_error(status))
            return start_response(status, *rest, **named)

        return start

    def has_connections(self) -> bool:
        """Whether it has any; to be asked between two entries."""
        return any([scope.checkouts for scope in self._scopes])

    def close(self) -> None:
        """ROLLBACK, and give everything back."""
        for scope in reversed(self._scopes):
            scope.close()

    def abort(self) -> None:
        """Close it, and leave it where something has interrupted that."""
        self._leave()
        self.close()

    def end(self) -> None:
        """Close it for good. Work that still goes on in it gets ``TransactionLost``."""
        self._leave()
        for scope in reversed(self._scopes):
            scope.end()

    def is_entered(self) -> bool:
        """Whether this thread is in it."""
        return self.stacks.is_in(self.scope)

    def _leave(self) -> None:
        self._scopes = self.stacks.leave(self.scope) or self._scopes
        requests = _thread.get().requests
        if self in requests:
            requests.remove(self)


class StreamedBody:
    """A response body that keeps its scope until it has been sent.

    Between two pieces it waits with the thread that sent the last one, before the first with the
    thread that called the application. Where it still has a connection when that thread begins
    another request, its server has forgotten to close it, or sends several bodies by turns. Nobody
    can tell which, so it is aborted: it loses its connection, and never passes for a whole one.
    """

    def __init__(self, body: Iterable[bytes], request: RequestScope) -> None:
        self._body = body
        self.request = request
        self._iterator: Iterator[bytes] | None = None
        # Whether nothing more is to be sent: it was sent, it failed, or the server closed it.
        self._over = False
        self._closed = False
        self._reference = weakref.ref(self)
        self._wait()
        # Last: one that was made by half has no destructor.
        self.__class__ = _UnclosedBody

    def __iter__(self) -> "StreamedBody":
        return self

    def __next__(self) -> bytes:
        try:
            waited = self._stop_waiting()
        except BaseException:
            # Ctrl-C or a task's time limit: whoever comes next finds it.
            self._waiting.add(self._reference)
            raise
        if not waited and not self._over:
            raise RuntimeError(
                f"the response body of {self.request.scope.label!r} was cut and its transaction "
                "rolled back, because its thread began another request before all of it was sent: "
                "send or close it first, or fetch its rows and call manager.cleanup() before it "
                "begins"
            )
        if self._over:
            raise StopIteration
        try:
            with self.request:
                if self._iterator is None:
                    self._iterator = iter(self._body)
                piece = next(self._iterator)
            if self._closed:
                # By another thread, and the piece may have begun another scope since.
                self.request.end()
            else:
                self._wait()
        except BaseException:
            self._over = True
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                self.request.abort()
            finally:
                self.request.abort()
            raise
        return piece

    def close(self) -> None:
        """Close the body, and with it the scope."""
        # One that was aborted is closed, but not over: to go on with it stays an error.
        self._over = self._over or not self._closed
        try:
            self._stop_waiting()
            self._close()
        except BaseException:
            # Ctrl-C or a task's time limit may have come before it began.
            self._close()
            raise

    def abort(self) -> None:
        """Take its connection back, unless it has none or another thread sends it by now."""
        if not self.request.has_connections():
            return
        try:
            if self._stop_waiting():
                self._close()
        except BaseException as error:
            # As in close().
            self._close()
            if not isinstance(error, Exception) or raised_by_handler(error):
                raise
            log.exception("closing the abandoned body of %r failed", self.request.scope.label)

    def _wait(self) -> None:
        self._waiting = _thread.get().streams
        self._waiting.add(self._reference)

    def _stop_waiting(self) -> bool:
        """Whether it waited; True for only one of two threads that would send and abort it."""
        try:
            self._waiting.remove(self._reference)
        except KeyError:
            return False
        return True

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with self.request:
                close = getattr(self._body, "close", None)
                if close:
                    close()
        finally:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                self.request.end()
            finally:
                self.request.end()
            # Its destructor has nothing to do any more, and Python drops what a signal raises in one.
            self.__class__ = StreamedBody


class _UnclosedBody(StreamedBody):
    """A streamed body that is not closed yet, and closes itself where it is dropped."""

    def __del__(self) -> None:
        # The client went away, and the server dropped the body without closing it.
        if sys.is_finalizing():
            return
        try:
            self.close()
        except Exception:
            log.exception("closing the dropped body of %r failed", self.request.scope.label)


class _Thread:
    """The streams that wait with a thread, and the requests that it has entered."""

    def __init__(self) -> None:
        self.requests: list[RequestScope] = []
        self.streams: set[weakref.ref[StreamedBody]] = set()


_thread = PerThread(_Thread)


def _is_in_request() -> bool:
    """Whether this thread is in a request, of any manager."""
    thread = _thread.get()
    if thread.requests:
        # What a signal raises may have come between the end of one and its leaving this list.
        thread.requests = [request for request in thread.requests if request.is_entered()]
    return bool(thread.requests)


def _abort_streams(stacks: Stacks) -> None:
    """Take back what the streams that wait with this thread have of one manager."""
    for reference in list(_thread.get().streams):
        stream = reference()
        if stream is not None and stream.request.stacks is stacks:
            stream.abort()


def is_complete(body: Any, environ: dict[str, Any]) -> bool:
    """Whether nothing of ``body`` is still to be computed: a list, or a file for the server."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (
        isinstance(wrapper, type) and isinstance(body, wrapper)
    )


def is_error(status: str) -> bool:
    """Whether a status, as in ``404 Not Found``, is that of an error; a redirect is none."""
    return status >= "4"


def request_label(environ: dict[str, Any]) -> str:
    """What a request's scope is called: ``GET /notes/7``."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return (
        f"{environ.get('REQUEST_METHOD', '')} {path.encode('latin-1').decode('utf-8', 'replace')}"
    )
