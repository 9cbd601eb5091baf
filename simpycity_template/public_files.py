"""The files of a folder, before an application: as Paste does it, for less.

Paste's `Cascade` lets `StaticURLParser` answer first, and asks the application where that says 404.
So each request to the application pays for a page of an error that nobody sees, a tenth of the
time of a small page, and has its body copied. Here one look at the file system comes before.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from paste.cascade import Cascade
from paste.urlparser import StaticURLParser


class PublicFiles:
    """WSGI middleware: answers with a file where there is one, else with the application."""

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        folder: str,
        autorefresh: bool = True,
    ) -> None:
        """
        Arguments:
            application: what answers where there is no file.
            folder: the path of the files, which all the world may read.
            autorefresh: False for production: what lies directly in the folder is listed now, so
                what is added there later is found after a restart. A request to the application
                then asks the file system nothing, which matters with threads: each such call
                releases the GIL.
        """
        self.application = application
        self.folder = folder
        self._files_first = Cascade([StaticURLParser(folder), application])
        self._names: frozenset[str] | None = None
        if not autorefresh:
            found = os.listdir(folder) if os.path.isdir(folder) else []
            self._names = frozenset([os.curdir, *found])

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""
        if self._may_be_there(environ.get("PATH_INFO", "")):
            return self._files_first(environ, start_response)
        return self.application(environ, start_response)

    def _may_be_there(self, path: str) -> bool:
        """Tell whether there may be a file; whether it is one that may be read, Paste decides."""
        name = "index.html" if path == "/" else path.strip("/")
        if name and self._names is not None and name.partition("/")[0] not in self._names:
            return False
        return os.path.exists(os.path.join(self.folder, name))
