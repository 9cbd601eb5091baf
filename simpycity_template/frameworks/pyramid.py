"""Pyramid: ``config.include("simpycity_template.frameworks.pyramid")``.

A request is a scope: from the outermost tween, so that authentication, NewRequest subscribers,
pyramid_tm and exception views are inside, to the last finished callback. A streamed body keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from simpycity_template.frameworks import installed
from simpycity_template.manager import Manager, get_manager
from simpycity_template.scopes.request import (
    RequestScope,
    StreamedBody,
    is_complete,
    is_error,
)

with installed("pyramid"):
    from pyramid.config import Configurator
    from pyramid.exceptions import ConfigurationError
    from pyramid.registry import Registry
    from pyramid.request import Request
    from pyramid.response import Response
    from pyramid.settings import aslist
    from pyramid.tweens import EXCVIEW, INGRESS

TWEEN = "simpycity_template.frameworks.pyramid.scope_tween_factory"


def includeme(config: Configurator) -> None:
    """Give each request a scope of the manager that has the name of the application's package.

    Views find it as ``request.simpycity``. Its settings are the ``simpycity.*`` of the INI file.

    Raises:
        ValueError: a setting is wrong; the message names it.
        ConfigurationError: ``pyramid.tweens`` is set, and leaves the tween out that this needs.
    """
    settings = config.get_settings()
    tweens = aslist(settings.get("pyramid.tweens", ""))
    if tweens and TWEEN not in tweens:
        raise ConfigurationError(
            f"pyramid.tweens lists the tweens by hand, and no request would be cleaned up: "
            f"add {TWEEN} as the first of them"
        )
    manager = get_manager(config.root_package.__name__)
    manager.configure(settings)
    config.registry[__name__] = manager
    config.add_request_method(lambda request: manager, "simpycity", property=True)
    config.add_tween(TWEEN, under=INGRESS, over=("pyramid_tm.tm_tween_factory", EXCVIEW))


def scope_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """The tween that begins a scope with each request."""
    manager = registry[__name__]

    def scope_tween(request: Request) -> Response:
        unit = _Request(manager, request)
        unit.response = handler(request)
        return unit.response

    return scope_tween


class _Request(RequestScope):
    """One request's unit of work, and the response that may still need it."""

    def __init__(self, manager: Manager, request: Request) -> None:
        super().__init__(manager.scopes, request.environ)
        self.response: Response | None = None
        # Before any that a request factory has added: where one fails, Pyramid calls no other.
        request.finished_callbacks.appendleft(self.finish)
        self.__enter__()

    def finish(self, request: Request) -> None:
        """End the scope, or leave it to a stream."""
        try:
            self._finish(request)
        except BaseException:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                self.abort()
            finally:
                self.abort()
            raise

    def _finish(self, request: Request) -> None:
        try:
            # The application's own callbacks may query.
            while request.finished_callbacks:
                request.finished_callbacks.popleft()(request)
        finally:
            self.__exit__(*sys.exc_info())
            if self.response is not None:
                self.outcome.known(is_error(self.response.status))
        body: Any = getattr(self.response, "app_iter", ())
        if is_complete(body, request.environ):
            self.close()
        else:
            _set_body(self.response, StreamedBody(body, self))


def _set_body(response: Response, body: StreamedBody) -> None:
    # WebOb forgets the length with the body that it belongs to.
    length = response.content_length
    response.app_iter = body
    response.content_length = length
