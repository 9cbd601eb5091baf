"""Headers that tell browsers what they may do with an application's answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


class SecurityHeaders:
    """WSGI middleware: adds headers to each answer that does not have them itself.

    Put it outermost, so that static files and pages of errors have them, too.
    """

    def __init__(
        self, application: Callable[..., Iterable[bytes]], headers: Mapping[str, str]
    ) -> None:
        """
        Arguments:
            application: what answers.
            headers: names and values, as text.
        """
        self.application = application
        self._headers = [(name.lower(), (name, value)) for name, value in headers.items()]

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            given = {name.lower() for name, _ in headers}
            added = [header for name, header in self._headers if name not in given]
            return start_response(status, [*headers, *added], *exc_info)

        return self.application(environ, start)
