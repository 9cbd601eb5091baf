"""Flask: ``Simpycity(app)``, or ``Simpycity().init_app(app)``.

A request is a scope, and a streamed response keeps it. So is an app context outside of a request:
a CLI command, a test, a job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpycity_template.frameworks import configured, installed
from simpycity_template.middleware import COMPUTED, ManagerMiddleware
from simpycity_template.pool.tracebacks import end_at_application

with installed("flask"):
    import click
    from flask import (
        Flask,
        Response,
        appcontext_pushed,
        g,
        got_request_exception,
        request,
        request_finished,
    )


class Simpycity:
    """The Flask extension."""

    def __init__(self, app: Flask | None = None) -> None:
        """
        Arguments:
            app: as in ``init_app()``.
        """
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give each request and each app context of ``app`` a scope of ``get_manager(app.name)``.

        Raises:
            ValueError: ``app.config["SIMPYCITY"]`` is not set, or a setting in it is wrong.
        """
        manager = configured(app.name, app.config.get("SIMPYCITY"), "SIMPYCITY")
        app.extensions["simpycity"] = manager
        # Not teardown_request: Flask tears a streamed request down before it is streamed.
        app.wsgi_app = ManagerMiddleware(app.wsgi_app, manager)  # type: ignore[method-assign]
        request_finished.connect(_finish, app)
        got_request_exception.connect(_failed, app)
        appcontext_pushed.connect(_begin, app)
        # Not teardown_appcontext: a function that was registered before would run later, and query
        # in no scope; one that fails would leave ours out.
        app.do_teardown_appcontext = _ending(  # type: ignore[method-assign]
            app.do_teardown_appcontext
        )


def _finish(app: Flask, response: Response, **_: object) -> None:
    """Tell a page from a stream: Werkzeug wraps the body of both."""
    manager = app.extensions["simpycity"]
    request.environ[COMPUTED] = manager if response.is_sequence else None


def _failed(app: Flask, exception: BaseException, **_: object) -> None:
    """Flask has caught an exception of a request, and will log it."""
    end_at_application(exception)


def _begin(app: Flask, **_: object) -> None:
    """Begin a scope with an app context, except inside a request or another unit of work."""
    manager = app.extensions["simpycity"]
    around = manager.scopes.current()
    if around is None or not around.begun:
        command = click.get_current_context(silent=True)
        label = command.command_path if command else f"app context of {app.name}"
        # Where Flask does not come to the teardown, the scope ends with its g.
        g.simpycity_scope = manager.scope(label)
        g.simpycity_scope.__enter__()


def _ending(teardown: Callable[..., None]) -> Callable[..., None]:
    """``teardown``, and then the end of the app context's scope."""

    def do_teardown_appcontext(*arguments: Any, **options: Any) -> None:
        try:
            teardown(*arguments, **options)
        finally:
            scope = g.pop("simpycity_scope", None)
            if scope is not None:
                scope.__exit__(None, None, None)

    return do_teardown_appcontext
