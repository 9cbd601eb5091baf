"""The installed app: a request is a scope, between ``request_started`` and ``request_finished``.

Django sends the second of these when the server closes the response, so a streamed one keeps its
scope until it has been sent. Where a server drops the response without closing it, the scope ends
with the request's ``environ``.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created

from simpycity_template.frameworks import configured, database_name
from simpycity_template.manager import Manager
from simpycity_template.pool.lost_writes import Outcome
from simpycity_template.pool.tracebacks import end_at_application
from simpycity_template.scopes.request import request_label
from simpycity_template.scopes.scope import Scope
from simpycity_template.scopes.stack import Stacks


class Simpycity(AppConfig):
    """Configures ``get_manager(…)``, named as the package of the settings module is."""

    name = "simpycity_template.frameworks.django"
    label = "simpycity_template"
    verbose_name = "Simpycity"

    manager: Manager
    project: str

    def ready(self) -> None:
        """Take ``settings.SIMPYCITY``, and listen to the signals.

        Raises:
            ImproperlyConfigured: it is not set, or a setting in it is wrong.
        """
        self.project = (settings.SETTINGS_MODULE or "django").partition(".")[0]
        try:
            self.manager = configured(
                self.project, getattr(settings, "SIMPYCITY", None), "SIMPYCITY"
            )
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from None
        self._database = database_name(self.manager)
        # Those of Django's own databases that are the same as Simpycity's.
        self._aliases = [
            alias
            for alias, database in connections.databases.items()
            if self._database and database.get("NAME") == self._database
        ]
        connection_created.connect(self.follow)
        request_started.connect(self.begin)
        got_request_exception.connect(self.failed)
        request_finished.connect(self.end)

    def follow(self, sender: Any, connection: Any, **_: Any) -> None:
        """Use the database that Django uses, which during tests is another one.

        Django's test runner makes ``test_NAME`` and connects to it. Before it drops that, or makes
        copies of it for parallel tests, it connects without a database: nobody else may have it open.
        """
        if connection.alias == NO_DB_ALIAS:
            self.manager.dispose()
        elif connection.alias in self._aliases:
            name = connection.settings_dict["NAME"]
            if name != self._database:
                self._database = name
                self.manager.dispose()
                configured(self.project, {**settings.SIMPYCITY, "database": name}, "SIMPYCITY")

    def begin(self, sender: Any, **request: Any) -> None:
        """A request has begun, perhaps within another one, as a test client's does."""
        if "environ" in request:
            environ = request["environ"]
            scope = _Request(request_label(environ), sender)
        elif "scope" in request:
            # The test client closes an asynchronous response in another thread.
            self.end(sender)
            environ = request["scope"]
            scope = _Request("{method} {path}".format_map(environ), sender)
        else:
            # A job that sends the signal so that Django looks after its own connections.
            return
        environ[self.name] = _Guard(scope, self.manager.scopes)
        self.manager.scopes.enter(scope)

    def failed(self, sender: Any, **_: Any) -> None:
        """Django has caught an exception of the request that this thread is in, and will log it."""
        error = sys.exc_info()[1]
        if error is not None:
            end_at_application(error)
        scope = self.manager.scopes.current()
        if scope is not None and scope.outcome is not None:
            scope.outcome.known(failed=True)

    def end(self, sender: Any, **_: Any) -> None:
        """A request has ended: its response was sent, or its client went away."""
        # The signal is also sent by such a job, and by any other response that is closed.
        self.manager.scopes.end(
            lambda scope: isinstance(scope, _Request) and sender in scope.senders
        )


class _Request(Scope):
    """A request's scope, and who sends the signal that ends it."""

    def __init__(self, label: str, handler: Any) -> None:
        super().__init__(label)
        self.outcome = Outcome()
        served = isinstance(handler, type) and issubclass(handler, (WSGIHandler, ASGIHandler))
        # Unlike a server's, the response of a test client does not know its handler.
        self.senders = (handler,) if served else (handler, None)
        self.guard: Callable[[], _Ended | None] = _Ended

    def end(self) -> None:
        """Close it for good, and leave its guard nothing to do."""
        try:
            super().end()
        finally:
            guard = self.guard()
            # Where something has interrupted the first step, the guard has to end it.
            if guard is not None and self.ended:
                # Python drops what a signal raises in a destructor.
                guard.__class__ = _Ended


class _Ended:
    """The guard of a request that has ended."""


class _Guard(_Ended):
    """Lives as long as the request, and ends what nobody has ended."""

    def __init__(self, scope: _Request, scopes: Stacks) -> None:
        self._scope = scope
        self._scopes = scopes
        scope.guard = weakref.ref(self)

    def __del__(self) -> None:
        # Something may have interrupted the first step of __init__(), too.
        if hasattr(self, "_scopes") and not sys.is_finalizing():
            # It may be dropped in another thread than it began in.
            self._scopes.end(lambda scope: scope is self._scope)
            self._scope.end()
