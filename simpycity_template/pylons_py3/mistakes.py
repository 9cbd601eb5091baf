"""What `paster` says of a mistake that is not one of the application's code.

One sentence on stderr, in place of a traceback that leads through PasteScript. And
`paster serve --reload` waits until a mistake is mended, whatever it is.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from threading import Event
from typing import Any

import pkg_resources


def told(run: Callable[[Any], Any]) -> Callable[..., Any]:
    """Decorator of PasteScript's ``run``: a known mistake ends it with a sentence and status 1."""

    @wraps(run)
    def run_and_tell(args=None):
        try:
            return run(args)
        except Exception as error:
            said = sentence(error)
            if said is None:
                raise
            sys.exit(said)

    return run_and_tell


def tell(error: Exception) -> None:
    """Write to stderr what is wrong: a sentence where it is a known mistake, else a traceback."""
    said = sentence(error)
    if said is None:
        traceback.print_exception(error)
    else:
        print(said, file=sys.stderr)


def wait_for_change(error: BaseException, reloader: Any) -> None:
    """Have the reloader watch where an error came from, until it ends the process; or Ctrl-C does."""
    # It watches the modules that are loaded; a module that failed is none.
    for path in _files(error):
        reloader.watch_file(path)
    with suppress(KeyboardInterrupt):
        Event().wait()


def _files(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield frame.f_code.co_filename
        error = error.__cause__ or error.__context__


def sentence(error: Exception) -> str | None:
    """Return what to tell of a mistake, or None of an error that needs its traceback."""
    # That module imports this one.
    from paste.script.command import BadCommand

    if isinstance(error, BadCommand):
        return error.message
    if isinstance(error, pkg_resources.DistributionNotFound):
        return _missing(error.req, error.requirers)
    if isinstance(error, pkg_resources.VersionConflict):
        needing = getattr(error, "required_by", ())
        return (
            f"{_needs(error.req, needing)}, and {error.dist.version} is installed{_cure(error.req)}"
        )
    return None


def _missing(requirement, needing) -> str:
    if not needing:
        return f"{requirement} is not installed here."
    return f"{_needs(requirement, needing)}, which is not installed{_cure(requirement)}"


def _needs(requirement, needing) -> str:
    return f"{' and '.join(sorted(needing)) or 'This'} needs {requirement}"


def _cure(requirement) -> str:
    return f': pip install "{requirement}"'
