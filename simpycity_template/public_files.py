"""The files of a folder, before an application: as Paste does it, for less.

Paste's `Cascade` lets `StaticURLParser` answer first, and asks the application where that says 404.
So each request to the application pays for a page of an error that nobody sees, a tenth of the
time of a small page, and has its body copied. Here one look at the file system comes before.
"""

import os
import re
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import quote

from paste.cascade import Cascade
from paste.urlparser import StaticURLParser

# One range; several in one request are not worth their work, and a server may send all instead.
_RANGE = re.compile(r"bytes=(?:[0-9]{1,18}-(?:[0-9]{1,18})?|-[0-9]{1,18})")


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
        found = self._find(environ.get("PATH_INFO", ""))
        if found is None:
            return self.application(environ, start_response)
        path = environ["PATH_INFO"]
        if os.path.isdir(found) and not path.endswith("/"):
            # Paste's own redirect names the host that was asked for, which may be anybody's.
            place = quote(f"{environ.get('SCRIPT_NAME', '')}/{path.strip('/')}/")
            start_response("301 Moved Permanently", [("Location", place), ("Content-Length", "0")])
            return [b""]
        _forget_nonsense(environ)
        return self._files_first(environ, start_response)

    def _find(self, path: str) -> str | None:
        """Return the file or folder that a path names, if it is for all the world."""
        name = "index.html" if path == "/" else path.strip("/")
        if "\0" in name:
            return None
        parts = name.split("/")
        if name and self._names is not None and parts[0] not in self._names:
            return None
        if any(part.startswith(".") for part in parts if part != ".well-known"):
            return None
        found = os.path.realpath(os.path.join(self.folder, name))
        if not os.path.exists(found):
            return None
        # Not by a link into another folder.
        folder = os.path.realpath(self.folder)
        return found if os.path.commonpath([folder, found]) == folder else None


def _forget_nonsense(environ: dict[str, Any]) -> None:
    """Take headers out that make no sense, as if they had not been sent; Paste answers them 400."""
    since = environ.get("HTTP_IF_MODIFIED_SINCE", "")
    try:
        valid = parsedate_to_datetime(since).timestamp() <= time()
    except (ValueError, OverflowError):
        valid = False
    if not valid:
        environ.pop("HTTP_IF_MODIFIED_SINCE", None)
    if not _RANGE.fullmatch(environ.get("HTTP_RANGE", "")):
        environ.pop("HTTP_RANGE", None)
