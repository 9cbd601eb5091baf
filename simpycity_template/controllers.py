"""The controller base class, for Pylons projects that exist already."""

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

import simpycity.config
from pylons.controllers import WSGIController

from simpycity_template.manager import Manager
from simpycity_template.middleware import respond_in_scope
from simpycity_template.simpycity_patches.handle import manager_of

WSGIMethod = Callable[[Any, dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# In the environ: which controller answers, by its id.
_KEY = "simpycity_template.controller"


def _in_scope(call: WSGIMethod) -> WSGIMethod:
    """The method ``__call__`` of a controller, in a scope that it shares with those it overrides."""

    @wraps(call)
    def method(
        self: "BaseController", environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get(_KEY) == id(self):
            return call(self, environ, start_response)
        manager = self.manager or manager_of(simpycity.config)
        if manager is None:
            raise RuntimeError(
                f"{type(self).__name__} has no manager: call get_manager(name).configure(config) "
                "in config/environment.py, or set its attribute 'manager'"
            )
        environ[_KEY] = id(self)
        return respond_in_scope(manager, partial(call, self), environ, start_response)

    return method


class BaseController(WSGIController):
    """Gives each request a scope of ``manager``, and cleans up at its end.

    That holds for all that a class derived from it does in a ``__call__`` of its own, also where
    that goes on with ``WSGIController.__call__``, as in the projects of Pylons' template.

    Attributes:
        manager: whose scope; where it is None, that of Simpycity's handle factory.
    """

    manager: Manager | None = None

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "__call__" in vars(cls):
            cls.__call__ = _in_scope(cls.__call__)  # type: ignore[method-assign]

    @_in_scope
    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Invoke the action the request is routed to.

        Raises:
            RuntimeError: there is no manager yet.
        """
        body: Iterable[bytes] = super().__call__(environ, start_response)
        return body
