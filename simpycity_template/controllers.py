"""The controller base class, for Pylons projects that exist already."""

from collections.abc import Callable, Iterable
from typing import Any

import simpycity.config
from pylons.controllers import WSGIController

from simpycity_template.handle import manager_of
from simpycity_template.manager import Manager
from simpycity_template.middleware import respond_in_scope


class BaseController(WSGIController):
    """Gives each request a scope of ``manager``, and cleans up at its end.

    Attributes:
        manager: whose scope; where it is None, that of Simpycity's handle factory.
    """

    manager: Manager | None = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Invoke the action the request is routed to.

        Raises:
            RuntimeError: there is no manager yet.
        """
        manager = self.manager or manager_of(simpycity.config)
        if manager is None:
            raise RuntimeError(
                f"{type(self).__name__} has no manager: call get_manager(name).configure(config) "
                "in config/environment.py, or set its attribute 'manager'"
            )
        return respond_in_scope(manager, super().__call__, environ, start_response)
